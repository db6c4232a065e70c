"""Where a run's time went."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from time import monotonic


class Ledger:
    """Seconds per stage.

    `inference_s` is waiting for the engine, `join_s` overlap-add and tape, `encode_s` processor
    time of encoding, most of it beside inference, `store_s` what was left to store after the last
    segment.
    """

    def __init__(self, booked: Mapping[str, float]) -> None:
        self._started = monotonic()
        self._seconds = dict(booked)
        self.segments = 0

    def add(self, stage: str, seconds: float) -> None:
        """Book seconds."""
        self._seconds[stage] = self._seconds.get(stage, 0.0) + seconds

    @contextmanager
    def timed(self, stage: str) -> Generator[None]:
        """Book the time the block takes."""
        started = monotonic()
        try:
            yield
        finally:
            self.add(stage, monotonic() - started)

    def to_dict(self) -> dict[str, float]:
        """The form kept in the job row; `run_s` is the whole run."""
        seconds = {**self._seconds, "run_s": monotonic() - self._started}
        return {
            **{stage: round(value, 3) for stage, value in seconds.items()},
            "segments": self.segments,
        }
