"""What is no sound, or more of it than it seems: playlists, pictures, noise, bombs."""

import gzip
import io
import zipfile
from collections.abc import Callable

import numpy as np

from tests.hostile import boxes, riff
from tests.hostile.good import encoded, film, good

Files = dict[str, Callable[[], bytes]]

SECRET = "/etc/passwd"
AWAY = "http://127.0.0.1:1/secret.wav"

PLAYLISTS = {
    "m3u": f"#EXTM3U\n#EXTINF:1,song\n{SECRET}\n",
    "m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{AWAY}\n#EXT-X-ENDLIST\n",
    "indented.m3u": f"\n\n   #EXTM3U\n{SECRET}\n",
    "marked.m3u": f"\ufeff#EXTM3U\n{SECRET}\n",
    "bare.m3u": f"{SECRET}\n{AWAY}\n",
    "pls": f"[playlist]\nFile1={SECRET}\nNumberOfEntries=1\n",
    "asx": f'<asx version="3.0"><entry><ref href="{AWAY}"/></entry></asx>\n',
    "wpl": f'<?wpl version="1.0"?><smil><body><media src="{SECRET}"/></body></smil>\n',
    "xspf": f'<?xml version="1.0"?>\n<playlist><location>{AWAY}</location></playlist>',
    "smil": f'<smil><body><audio src="{AWAY}"/></body></smil>\n',
    "mpd": f'<?xml version="1.0"?><!-- a --><MPD><BaseURL>{AWAY}</BaseURL></MPD>\n',
    "ism": f'<SmoothStreamingMedia MajorVersion="2"><a href="{AWAY}"/></SmoothStreamingMedia>\n',
    "sdp": "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nm=audio 1 RTP/AVP 0\r\n",
    "ffconcat": f"ffconcat version 1.0\nfile {SECRET}\n",
    "old.ffconcat": f"# by hand\nfile '{SECRET}'\n",
    "protocol.ffconcat": f"concat:{SECRET}|{SECRET}\n",
    "imf.xml": f'<?xml version="1.0"?>\n<CompositionPlaylist>{SECRET}</CompositionPlaylist>\n',
    "rtsp.txt": f"[Reference]\nRef1={AWAY}\n",
    "ram": "rtsp://127.0.0.1:1/song.ra\n",
}

MAGIC = {
    "wav": b"RIFF\xff\xff\xff\x7fWAVEfmt ",
    "rf64": b"RF64\xff\xff\xff\xffWAVE",
    "w64": b"riff.\x91\xcf\x11\xa5\xd6(\xdb\x04\xc1\0\0",
    "aiff": b"FORM\0\1\0\0AIFFCOMM",
    "caf": b"caff\0\1\0\0desc",
    "flac": b"fLaC\0\0\0\x22",
    "mp3": b"\xff\xfb\x90\x64",
    "id3": b"ID3\3\0\0\0\0\0\x10",
    "aac": b"\xff\xf1\x50\x80",
    "ogg": b"OggS\0\2",
    "mp4": b"\0\0\0\x20ftypM4A ",
    "moov": b"\0\0\xff\xffmoov",
    "webm": b"\x1a\x45\xdf\xa3",
    "none": b"",
}


def playlists() -> Files:
    """Texts that name other files and addresses, all called .mp3."""
    return {f"{name}.mp3": lambda text=text: text.encode() for name, text in PLAYLISTS.items()}


def references() -> Files:
    """Containers that point elsewhere."""
    alias = bytes(4) + b"/etc/passwd".ljust(150, b"\0")
    return {
        "file-reference.mov": lambda: boxes.movie(
            reference=boxes.elsewhere(b"file:///etc/passwd"), samples_each=boxes.RATE_HZ
        ),
        "http-reference.mov": lambda: boxes.movie(
            reference=boxes.elsewhere(AWAY.encode()), samples_each=boxes.RATE_HZ
        ),
        "alias-reference.mov": lambda: boxes.movie(
            reference=boxes.box(b"alis", alias), samples_each=boxes.RATE_HZ
        ),
        "reference-movie.mov": lambda: (
            boxes.file_type()
            + boxes.box(
                b"moov",
                boxes.box(
                    b"rmra",
                    boxes.box(b"rmda", boxes.full(b"rdrf", b"url ", b"\0\0\0\x20", AWAY.encode())),
                ),
            )
        ),
        "linked-segment.mka": linked_segment,
        "playlist-behind-id3.mp3": lambda: b"ID3\4\0\0\0\0\0\0" + PLAYLISTS["ffconcat"].encode(),
        "playlist-behind-bytes.mp3": lambda: b"\0" + PLAYLISTS["m3u8"].encode(),
    }


def linked_segment() -> bytes:
    """Matroska whose information names the next segment's file."""
    data = good("mka")
    at = data.index(b"\x15\x49\xa9\x66")
    name = b"file:/etc/passwd"
    return data[:at] + b"\x3e\x83\xbb" + bytes([0x80 | len(name)]) + name + data[at:]


def bombs() -> Files:
    """Small files that unfold a thousandfold, some of which say so."""
    return {
        "honest-bomb.flac": silent_flac,
        "lying-bomb.flac": lambda: claims_a_second(silent_flac()),
        "bomb.opus": silent_opus,
        "bomb.mov": lambda: boxes.movie(chunks=20_000),
        "gzip-bomb.mp3": lambda: gzip.compress(bytes(50 << 20), mtime=0),
        "zip-bomb.mp3": zipped,
        "million-chunks.wav": million_chunks,
        "table-of-2-GB.mov": lambda: boxes.movie(claimed_chunks=1 << 28),
    }


def silent_flac() -> bytes:
    """Ten minutes at 8 kHz, in less than 20 KB."""
    samples = np.zeros((8_000 * 600, 1), np.float32)
    return encoded(samples, container="flac", codec="flac", rate_hz=8_000)


def claims_a_second(data: bytes) -> bytes:
    """STREAMINFO that admits one second of it."""
    patched = bytearray(data)
    patched[22:26] = (8_000).to_bytes(4, "big")
    patched[21] &= 0xF0
    return bytes(patched)


def silent_opus() -> bytes:
    """Five minutes in packets of 60 ms."""
    samples = np.zeros((48_000 * 300, 1), np.float32)
    return encoded(
        samples, container="ogg", codec="libopus", b="6000", frame_duration="60", application="voip"
    )


def million_chunks() -> bytes:
    """Work without end for whoever looks for the data."""
    return riff.riff(riff.fmt(), riff.chunk(b"junk", b"") * 950_000, riff.chunk(b"data", bytes(8)))


def zipped() -> bytes:
    """50 MB of zeros in a ZIP."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        song = zipfile.ZipInfo("song.wav")
        song.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(song, bytes(50 << 20))
    return buffer.getvalue()


def others() -> Files:
    """Pictures, documents and programs called .mp3, films without sound, codecs we do not take."""
    return {
        "png.mp3": lambda: b"\x89PNG\r\n\x1a\n" + bytes(200),
        "jpeg.mp3": lambda: b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(200),
        "gif.mp3": lambda: b"GIF89a\1\0\1\0" + bytes(200),
        "webp.mp3": lambda: b"RIFF\x80\0\0\0WEBPVP8 " + bytes(120),
        "bmp.mp3": lambda: b"BM\x80\0\0\0" + bytes(200),
        "heic.mp3": lambda: boxes.box(b"ftyp", b"heic", bytes(4), b"mif1heic") + bytes(200),
        "svg.mp3": lambda: b'<svg xmlns="http://www.w3.org/2000/svg"/>\n' * 9,
        "html.mp3": lambda: b"<!doctype html><title>404</title>\n" * 9,
        "pdf.mp3": lambda: b"%PDF-1.7\n" + bytes(200),
        "program.mp3": lambda: b"\x7fELF\2\1\1" + bytes(200),
        "midi.mp3": lambda: b"MThd\0\0\0\6\0\1\0\1\0\x60MTrk" + bytes(200),
        "film.mp4": lambda: film(container="mp4", codec="mpeg4"),
        "film.mka": lambda: film(container="matroska", codec="mpeg4"),
        "film.avi": lambda: film(container="avi", codec="mpeg4"),
        "wma.mp3": lambda: encoded(
            np.zeros((48_000, 2), np.float32), container="asf", codec="wmav2", b="128000"
        ),
        "tta.mka": lambda: encoded(
            np.zeros((48_000, 2), np.float32), container="matroska", codec="tta"
        ),
        "wavpack.mka": lambda: encoded(
            np.zeros((48_000, 2), np.float32), container="matroska", codec="wavpack"
        ),
        "g722.wav": lambda: riff.wav(tag=0x028F, channels=1, rate_hz=16_000, bits=4, block=1),
        "unknown-codec.wav": lambda: riff.wav(tag=0xABCD),
        "unknown-codec.mov": lambda: boxes.movie(codec=b"zzzz"),
        "protected.m4p": lambda: boxes.movie(codec=b"drms"),
        "empty.mp3": lambda: b"",
        "one-byte.mp3": lambda: b"\0",
        "zeros.mp3": lambda: bytes(100_000),
        "too-large.wav": lambda: riff.wav(data=bytes(9 << 20)),
    }


def noise(seed: int) -> Files:
    """Noise behind each beginning that we know."""
    random = np.random.default_rng(seed)
    bodies = {kind: random.bytes(60_000) for kind in MAGIC}
    return {
        f"noise-{kind}": lambda kind=kind, magic=magic: magic + bodies[kind]
        for kind, magic in MAGIC.items()
    }
