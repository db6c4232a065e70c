"""The container and its audio stream, taken by content and from short lists of kinds."""

import os
from typing import Any

import av
import av.error
from refusal import Refusal

FORMATS = "wav,mp3,flac,ogg,mov,matroska,webm,aiff,aac,caf,w64"
CODECS = frozenset(
    [
        "aac",
        "aac_fixed",
        "aac_latm",
        "ac3",
        "alac",
        "eac3",
        "flac",
        "gsm",
        "gsm_ms",
        "mp1",
        "mp1float",
        "mp2",
        "mp2float",
        "mp3",
        "mp3float",
        "adpcm_ima_qt",
        "adpcm_ima_wav",
        "adpcm_ms",
        "libopus",
        "libvorbis",
        "opus",
        "speex",
        "vorbis",
        "pcm_alaw",
        "pcm_bluray",
        "pcm_dvd",
        "pcm_f16le",
        "pcm_f24le",
        "pcm_f32be",
        "pcm_f32le",
        "pcm_f64be",
        "pcm_f64le",
        "pcm_mulaw",
        "pcm_s16be",
        "pcm_s16le",
        "pcm_s24be",
        "pcm_s24le",
        "pcm_s32be",
        "pcm_s32le",
        "pcm_s64be",
        "pcm_s64le",
        "pcm_s8",
        "pcm_u16be",
        "pcm_u16le",
        "pcm_u24be",
        "pcm_u24le",
        "pcm_u32be",
        "pcm_u32le",
        "pcm_u8",
    ]
)
HEAD_BYTES = 16
_MAGIC = (b"RIFF", b"RF64", b"riff", b"ID3", b"fLaC", b"OggS", b"\x1aE\xdf\xa3", b"FORM", b"caff")
_MOV_ATOMS = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")


class NamelessFile:
    """A seekable file that tells FFmpeg no name: an extension must not choose the format."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def read(self, size: int) -> bytes:
        return os.read(self._descriptor, size)

    def seek(self, offset: int, whence: int = 0) -> int:
        return os.lseek(self._descriptor, max(0, offset) if whence == 0 else offset, whence)

    def tell(self) -> int:
        return os.lseek(self._descriptor, 0, os.SEEK_CUR)


def open_source(descriptor: int) -> Any:
    """The container, found by content among the allowed formats; no other file can be opened."""
    head = os.pread(descriptor, HEAD_BYTES, 0)
    options = {
        "format_whitelist": FORMATS,
        "codec_whitelist": ",".join(sorted(CODECS)),
        "protocol_whitelist": "none",
    }
    try:
        return av.open(
            NamelessFile(descriptor), mode="r", options=options, metadata_errors="ignore"
        )
    except av.error.ArgumentError as error:
        raise Refusal("unsupported_format", "This kind of file is not supported.") from error
    except av.error.EOFError as error:
        raise Refusal("audio_truncated", "The file ends before its audio begins.") from error
    except MemoryError:
        raise
    except (av.error.FFmpegError, OSError, ValueError) as error:
        if is_known(head):
            raise Refusal("malformed_container", "The file's headers are broken.") from error
        raise Refusal("unsupported_format", "The file holds no audio that we know.") from error


def is_known(head: bytes) -> bool:
    """Whether the file begins as those of an allowed format do."""
    return head.startswith(_MAGIC) or head[4:8] in _MOV_ATOMS


def audio_stream(container: Any) -> Any:
    """The first audio stream."""
    if not container.streams.audio:
        raise Refusal("no_audio_stream", "The file holds no audio stream.")
    stream = container.streams.audio[0]
    context = stream.codec_context
    if context is None or context.name not in CODECS:
        raise Refusal(
            "unsupported_codec",
            "The audio is encoded in a way that is not supported.",
            codec=context.name if context else "unknown",
        )
    context.thread_count = 1
    return stream


def claimed_duration_s(container: Any, stream: Any) -> float | None:
    """What the stream or the container claims."""
    if stream.duration:
        return float(stream.duration * stream.time_base)
    if container.duration:
        return container.duration / av.time_base
    return None


def demuxed_duration_s(container: Any, stream: Any, *, enough_s: float) -> float:
    """The end of the last packet, from here on; no further than `enough_s`."""
    end_s = 0.0
    for packet in container.demux(stream):
        if packet.pts is not None:
            end_s = float((packet.pts + (packet.duration or 0)) * stream.time_base)
        if end_s > enough_s:
            break
    return end_s
