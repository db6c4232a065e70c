"""Where a run's time went."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from time import monotonic
from typing import Any


class Ledger:
    """Seconds per stage.

    `inference_s` is waiting for the engine, `join_s` overlap-add and tape, `encode_s` processor
    time of encoding, most of it beside inference, `store_s` what was left to store after the last
    segment. `batch_sizes` counts the segments per batch size the server ran them in, where that is
    certain.
    """

    def __init__(self, booked: Mapping[str, float]) -> None:
        self._started = monotonic()
        self._seconds = dict(booked)
        self._batch_sizes: dict[str, int] = {}
        self._segments = 0

    def add(self, stage: str, seconds: float) -> None:
        """Book seconds."""
        self._seconds[stage] = self._seconds.get(stage, 0.0) + seconds

    def add_segments(self, count: int, *, max_batch_size: int) -> None:
        """Book segments; a server that batches does not tell what it put together."""
        self._segments += count
        if max_batch_size == 1:
            self._batch_sizes["1"] = self._segments

    @contextmanager
    def timed(self, stage: str) -> Generator[None]:
        """Book the time the block takes."""
        started = monotonic()
        try:
            yield
        finally:
            self.add(stage, monotonic() - started)

    def to_dict(self) -> dict[str, Any]:
        """The form kept in the job row; `run_s` is the whole run."""
        seconds = {**self._seconds, "run_s": monotonic() - self._started}
        return {
            **{stage: round(value, 3) for stage, value in seconds.items()},
            "segments": self._segments,
            **({"batch_sizes": self._batch_sizes} if self._batch_sizes else {}),
        }
