from pathlib import Path

import pytest

from stemcore.audio_decoder.sniff import HEAD_BYTES, refuse_by_content, refuse_head
from stemcore.errors import ErrorCode, InvalidInput


@pytest.mark.parametrize(
    "head",
    [
        b"ffconcat version 1.0\nfile other.wav\n",
        b"\xef\xbb\xbfffconcat version 1.0\n",
        b"  \n#EXTM3U\n#EXTINF:1,\nx.wav\n",
        b"[playlist]\nFile1=x.wav\n",
        b'<?xml version="1.0"?>\n<!-- x -->\n<MPD>',
        b"<smil><body/></smil>",
        b"file 'other.wav'\n",
        b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n",
    ],
)
def test_playlists_are_refused_whatever_they_are_called(head: bytes) -> None:
    with pytest.raises(InvalidInput) as refusal:
        refuse_head(head)
    assert refusal.value.code is ErrorCode.PLAYLIST_NOT_ALLOWED


@pytest.mark.parametrize(
    "head",
    [
        b"Just a letter.\n",
        "Grüße\n".encode(),
        ("x" * (HEAD_BYTES - 1) + "ü").encode()[:HEAD_BYTES],
        b"%PDF-1.7\n",
        b"PK\x03\x04\x00\x00",
        b"\x89PNG\r\n\x1a\n",
        b"MThd\x00\x00\x00\x06",
    ],
)
def test_what_is_plainly_no_audio_is_refused(head: bytes) -> None:
    with pytest.raises(InvalidInput) as refusal:
        refuse_head(head)
    assert refusal.value.code is ErrorCode.UNSUPPORTED_FORMAT


@pytest.mark.parametrize(
    "head",
    [
        b"RIFF\x24\x00\x00\x00WAVEfmt ",
        b"ID3\x04\x00\x00",
        b"\xff\xfb\x90\x00",
        b"fLaC\x00",
        b"OggS\0",
    ],
)
def test_audio_passes(head: bytes) -> None:
    refuse_head(head)


def test_size_is_looked_at_first(tmp_path: Path) -> None:
    path = tmp_path / "song.mp3"
    path.write_bytes(b"")
    with pytest.raises(InvalidInput) as refusal:
        refuse_by_content(path, max_bytes=10)
    assert refusal.value.code is ErrorCode.EMPTY_FILE
    path.write_bytes(bytes(11))
    with pytest.raises(InvalidInput) as refusal:
        refuse_by_content(path, max_bytes=10)
    assert refusal.value.code is ErrorCode.FILE_TOO_LARGE
