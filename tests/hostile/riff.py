"""WAV, AIFF and CAF put together chunk by chunk, so that every field can lie."""

import struct

import numpy as np
from numpy.typing import NDArray

PCM, FLOAT = 1, 3


def chunk(name: bytes, data: bytes, *, claimed: int | None = None, pad: bool = True) -> bytes:
    """A RIFF chunk; `claimed` is the size it pretends to have."""
    size = len(data) if claimed is None else claimed
    return name + struct.pack("<I", size) + data + (b"\0" if pad and len(data) % 2 else b"")


def fmt(
    *,
    tag: int = PCM,
    channels: int = 2,
    rate_hz: int = 44_100,
    bits: int = 16,
    block: int | None = None,
    byte_rate: int | None = None,
) -> bytes:
    """The format chunk."""
    block = channels * bits // 8 if block is None else block
    byte_rate = (rate_hz * block) % (1 << 32) if byte_rate is None else byte_rate
    return chunk(
        b"fmt ", struct.pack("<HHIIHH", tag, channels, rate_hz, byte_rate, block % 65536, bits)
    )


def riff(*chunks: bytes, claimed: int | None = None, name: bytes = b"RIFF") -> bytes:
    """A WAV of these chunks."""
    body = b"WAVE" + b"".join(chunks)
    return name + struct.pack("<I", len(body) if claimed is None else claimed) + body


def silence(seconds: float = 1.0, *, rate_hz: int = 44_100, block: int = 4) -> bytes:
    """PCM of nothing."""
    return bytes(int(seconds * rate_hz) * block)


def wav(*, data: bytes | None = None, **fields: int) -> bytes:
    """A WAV whose format chunk says `fields`."""
    return riff(fmt(**fields), chunk(b"data", silence() if data is None else data))


def float_wav(samples: NDArray[np.floating], *, rate_hz: int = 44_100) -> bytes:
    """A WAV of floats, (frames, channels), of 32 or 64 bits."""
    bits = samples.dtype.itemsize * 8
    form = fmt(tag=FLOAT, channels=samples.shape[1], rate_hz=rate_hz, bits=bits)
    return riff(form, chunk(b"data", samples.tobytes()))


def aiff(*, rate: bytes, channels: int = 2, frames: int = 1_000, bits: int = 16) -> bytes:
    """An AIFF whose rate is the given 80-bit float."""
    common = struct.pack(">HIH", channels, frames, bits) + rate
    sound = struct.pack(">II", 0, 0) + bytes(frames * channels * 2)
    body = b"AIFF" + b"COMM" + struct.pack(">I", len(common)) + common
    body += b"SSND" + struct.pack(">I", len(sound)) + sound
    return b"FORM" + struct.pack(">I", len(body)) + body


def caf(
    *, rate_hz: float, channels: int = 2, data: bytes = bytes(4_000), float_samples: bool = False
) -> bytes:
    """A CAF of big-endian PCM."""
    bits = 32 if float_samples else 16
    flags = 1 if float_samples else 0
    block = channels * bits // 8 % (1 << 32)
    description = struct.pack(">d4sIIIII", rate_hz, b"lpcm", flags, block, 1, channels, bits)
    sound = struct.pack(">I", 0) + data
    return (
        b"caff\0\1\0\0"
        b"desc"
        + struct.pack(">q", len(description))
        + description
        + b"data"
        + struct.pack(">q", len(sound))
        + sound
    )
