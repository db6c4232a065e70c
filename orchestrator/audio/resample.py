"""Sample rates, streamed through libsoxr, with exact lengths."""

import numpy as np
import soxr
from numpy.typing import NDArray

Samples = NDArray[np.float32]

QUALITY = "VHQ"


def scaled_frames(frames: int, *, source_hz: int, target_hz: int) -> int:
    """round(frames * target / source), halves upwards, in integers."""
    return (2 * frames * target_hz + source_hz) // (2 * source_hz)


class RateConverter:
    """Blocks (frames, channels) from one rate to another; equal rates pass untouched."""

    def __init__(self, *, source_hz: int, target_hz: int, channels: int) -> None:
        self._channels = channels
        self._emitted = 0
        self._tail_frames = 2 * -(-source_hz // target_hz) + 2
        self._stream = (
            soxr.ResampleStream(source_hz, target_hz, channels, dtype="float32", quality=QUALITY)
            if source_hz != target_hz
            else None
        )

    def push(self, block: Samples) -> Samples:
        """What can be told of the output so far; soxr's own delay is taken off already."""
        converted = block if self._stream is None else self._stream.resample_chunk(block)
        self._emitted += len(converted)
        return converted

    def finish(self, *, total_frames: int) -> Samples:
        """The rest, so that all output together has `total_frames`.

        The source is continued with a little silence, for its end to be interpolated rather than
        cut off a frame too early.
        """
        left = total_frames - self._emitted
        if self._stream is None:
            rest = np.zeros((0, self._channels), dtype=np.float32)
        else:
            silence = np.zeros((self._tail_frames, self._channels), dtype=np.float32)
            rest = self._stream.resample_chunk(silence, last=True)
        if not 0 <= left <= len(rest):
            raise ValueError(f"{left} frames are missing, {len(rest)} are there")
        self._emitted = total_frames
        return rest[:left]
