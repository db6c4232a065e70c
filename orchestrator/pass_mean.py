"""The mean of several runs over one track; memory does not grow with the track."""

import os
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from orchestrator.mix import CHANNELS
from stemcore.scratch import scratch_errors

Samples = NDArray[np.float32]


class PassMean:
    """Sums of all runs but the last in a scratch file, in the order of the runs, in float32.

    That is how `demucs.apply.apply_model` adds its shifts. A single run leaves the file empty.
    """

    def __init__(self, path: Path, *, passes: int, stems: int) -> None:
        self.passes = passes
        self._path = path
        self._shape = (stems, CHANNELS)
        self._frame_bytes = 4 * stems * CHANNELS
        self._files = ExitStack()
        self._descriptor = -1

    @staticmethod
    def scratch_bytes(frames: int, *, passes: int, stems: int) -> int:
        """What the file takes."""
        return frames * 4 * CHANNELS * stems if passes > 1 else 0

    def __enter__(self) -> Self:
        with scratch_errors():
            file = self._files.enter_context(self._path.open("x+b", buffering=0))
        self._descriptor = file.fileno()
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    def take(self, block: Samples, *, run: int, position: int) -> Samples | None:
        """Take (stems, channels, n) of a run from `position` on; the last run gets the mean."""
        if run > 0:
            block = self._read(position, block.shape[-1]) + block
        if run == self.passes - 1:
            return block / np.float32(self.passes) if self.passes > 1 else block
        self._write(position, block)
        return None

    def _read(self, position: int, frames: int) -> Samples:
        size, offset = frames * self._frame_bytes, position * self._frame_bytes
        data = os.pread(self._descriptor, size, offset)
        return np.moveaxis(np.frombuffer(data, dtype=np.float32).reshape(-1, *self._shape), 0, -1)

    def _write(self, position: int, block: Samples) -> None:
        view = np.ascontiguousarray(np.moveaxis(block, -1, 0)).data.cast("B")
        offset = position * self._frame_bytes
        with scratch_errors():
            while view:
                written = os.pwrite(self._descriptor, view, offset)
                view, offset = view[written:], offset + written
