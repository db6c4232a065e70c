"""The tape: every stem as float32 PCM in scratch, written once and read while it grows."""

import asyncio
import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from orchestrator.mix import CHANNELS, FRAME_BYTES, peak_of, write_fully
from stemcore.scratch import scratch_errors
from stemcore.tasks import to_its_end

Samples = NDArray[np.float32]

BLOCK_FRAMES = 1 << 17


@dataclass(slots=True, kw_only=True)
class _Track:
    file: BinaryIO
    peak: float = 0.0


class Tape:
    """Blocks once appended never change; results are pure functions of them."""

    def __init__(self, folder: Path, *, stems: Sequence[str], total_frames: int) -> None:
        self.total_frames = total_frames
        self._folder = folder
        self._tracks: dict[str, _Track] = {}
        self._stems = tuple(stems)
        self._frames = 0
        self._grown = asyncio.Condition()
        self._files = ExitStack()

    def __enter__(self) -> Self:
        for stem in self._stems:
            file = (self._folder / f"{stem}.tape").open("x+b", buffering=0)
            self._tracks[stem] = _Track(file=self._files.enter_context(file))
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    async def append(self, block: Samples) -> None:
        """Take the next samples of all stems, (stems, channels, n)."""
        # Closed under the thread that writes, its descriptor could be another file's already.
        await to_its_end(asyncio.to_thread(self._write, block))
        async with self._grown:
            self._frames += block.shape[-1]
            self._grown.notify_all()

    async def blocks(self, stem: str) -> AsyncGenerator[Samples]:
        """The stem from its start as blocks (frames, channels), waiting for what is to come."""
        async for position, frames in self.stretches():
            yield await asyncio.to_thread(self.read, stem, position, frames=frames)

    async def stretches(self) -> AsyncGenerator[tuple[int, int]]:
        """Position and frames of what can be read, from the start, waiting for what is to come."""
        position = 0
        while position < self.total_frames:
            await self._wait_beyond(position)
            frames = min(BLOCK_FRAMES, self._frames - position)
            yield position, frames
            position += frames

    def read(self, stem: str, position: int, *, frames: int) -> Samples:
        """A stretch that is there, (frames, channels); blocks."""
        data = os.pread(
            self._tracks[stem].file.fileno(), frames * FRAME_BYTES, position * FRAME_BYTES
        )
        return np.frombuffer(data, dtype=np.float32).reshape(-1, CHANNELS)

    async def peak(self, stem: str) -> float:
        """The stem's largest magnitude, once the tape is complete."""
        await self._wait_beyond(self.total_frames - 1)
        return self._tracks[stem].peak

    async def highest_peak(self) -> float:
        """The largest magnitude of all stems, once the tape is complete."""
        return max([await self.peak(stem) for stem in self._stems])

    async def _wait_beyond(self, position: int) -> None:
        async with self._grown:
            await self._grown.wait_for(lambda: self._frames > position)

    def _write(self, block: Samples) -> None:
        with scratch_errors():
            for track, samples in zip(self._tracks.values(), block, strict=True):
                track.peak = max(track.peak, peak_of(samples))
                write_fully(track.file.fileno(), _frames(samples))


def _frames(samples: Samples) -> Samples:
    """(channels, n) as contiguous (n, channels): numpy copies the transposed array five times
    slower."""
    frames = np.empty(samples.shape[::-1], dtype=np.float32)
    for channel, row in enumerate(samples):
        frames[:, channel] = row
    return frames
