"""WAV and RF64 (EBU Tech 3306) bytes: nothing in them but format and samples, so that equal
samples make equal files."""

import struct

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

RIFF_MAX_BYTES = 0xFFFFFFFF
_PCM, _IEEE_FLOAT = 1, 3


def quantised(samples: Samples, *, bit_depth: int) -> NDArray[np.int32]:
    """Integers of `bit_depth`, 24 at most, by round(x * 2 ** (bit_depth - 1)), cut at full scale.

    Exact in float32: a power of two as scale rounds nothing, and it holds all integers of 24 bits.
    """
    scale = np.float32(1 << (bit_depth - 1))
    scaled = samples * scale
    np.rint(scaled, out=scaled)
    np.clip(scaled, -scale, scale - 1, out=scaled)
    return scaled.astype(np.int32)


def sample_bytes(samples: Samples, *, bit_depth: int) -> bytes:
    """Frames (frames, channels) as the body of a WAV file; a depth of 32 is IEEE float."""
    if bit_depth == 32:
        return np.ascontiguousarray(samples, dtype="<f4").tobytes()
    integers = np.ascontiguousarray(quantised(samples, bit_depth=bit_depth), dtype="<i4")
    places = integers.view(np.uint8).reshape(-1, 4)
    packed = np.empty((len(places), bit_depth // 8), dtype=np.uint8)
    # Column by column: numpy copies rows of three bytes four times slower.
    for place in range(packed.shape[1]):
        packed[:, place] = places[:, place]
    return packed.tobytes()


def wav_header(*, frames: int, channels: int, sample_rate_hz: int, bit_depth: int) -> bytes:
    """Everything before the samples."""
    block_bytes = channels * bit_depth // 8
    data_bytes = frames * block_bytes
    kind = _IEEE_FLOAT if bit_depth == 32 else _PCM
    fields = (kind, channels, sample_rate_hz, sample_rate_hz * block_bytes, block_bytes, bit_depth)
    format_chunk = _chunk(b"fmt ", struct.pack("<HHIIHH", *fields))
    if kind == _IEEE_FLOAT:
        format_chunk += _chunk(b"fact", struct.pack("<I", min(frames, RIFF_MAX_BYTES)))
    riff_bytes = 4 + len(format_chunk) + 8 + data_bytes + data_bytes % 2
    if riff_bytes <= RIFF_MAX_BYTES:
        return (
            struct.pack("<4sI4s", b"RIFF", riff_bytes, b"WAVE")
            + format_chunk
            + struct.pack("<4sI", b"data", data_bytes)
        )
    sizes = _chunk(b"ds64", struct.pack("<QQQI", riff_bytes + 36, data_bytes, frames, 0))
    return (
        struct.pack("<4sI4s", b"RF64", RIFF_MAX_BYTES, b"WAVE")
        + sizes
        + format_chunk
        + struct.pack("<4sI", b"data", RIFF_MAX_BYTES)
    )


def wav_padding(*, frames: int, channels: int, bit_depth: int) -> bytes:
    """What follows the samples: chunks have even lengths."""
    return bytes(frames * channels * bit_depth // 8 % 2)


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack("<4sI", name, len(body)) + body
