"""Refuse, by its first bytes, what is no audio file, before any decoder sees it."""

import re
from pathlib import Path

from stemcore.errors import ErrorCode, InvalidInput

HEAD_BYTES = 4096

# A playlist makes FFmpeg open other files and addresses, whatever it is named.
_PLAYLIST = re.compile(
    rb"\A(\xef\xbb\xbf)?\s*"
    rb"(ffconcat|#EXTM3U|#EXTINF|\[playlist\]|<\?wpl|<smil|<asx|<playlist|<MPD"
    rb"|<\?xml[^>]*>\s*(<!--.*?-->\s*)?<(smil|asx|playlist|MPD)|file\s+\S|v=0\r?\no=)",
    re.IGNORECASE | re.DOTALL,
)
_NOT_AUDIO = {
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a ZIP archive",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"\x7fELF": "a program",
    b"MZ": "a program",
    b"\x1f\x8b": "a gzip archive",
    b"MThd": "a MIDI file, which holds notes but no sound",
}
_TEXT_CONTROLS = frozenset(b"\t\n\r\f\x1b")


def refuse_by_content(path: Path, *, max_bytes: int) -> None:
    """Raise InvalidInput for an empty or too large file, a playlist, text, or a known non-audio
    format."""
    size_bytes = path.stat().st_size
    if size_bytes == 0:
        raise InvalidInput(ErrorCode.EMPTY_FILE, "The file is empty.")
    if size_bytes > max_bytes:
        raise InvalidInput(
            ErrorCode.FILE_TOO_LARGE,
            "The file is larger than allowed.",
            details={"size_bytes": size_bytes, "max_bytes": max_bytes},
        )
    with path.open("rb") as file:
        refuse_head(file.read(HEAD_BYTES))


def refuse_head(head: bytes) -> None:
    """Raise InvalidInput when the first bytes of a file show that it is no audio."""
    if _PLAYLIST.match(head):
        raise InvalidInput(
            ErrorCode.PLAYLIST_NOT_ALLOWED, "This is a playlist, which names other files."
        )
    for signature, name in _NOT_AUDIO.items():
        if head.startswith(signature):
            raise InvalidInput(ErrorCode.UNSUPPORTED_FORMAT, f"This is {name}, not an audio file.")
    if _is_text(head):
        raise InvalidInput(ErrorCode.UNSUPPORTED_FORMAT, "This is text, not an audio file.")


def _is_text(head: bytes) -> bool:
    if any(byte < 0x20 and byte not in _TEXT_CONTROLS for byte in head):
        return False
    try:
        # The cut at HEAD_BYTES may have split the last character.
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start >= len(head) - 3
    return True
