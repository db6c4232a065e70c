"""How a track is cut: the windows of Demucs' `apply_model` with `split=True`."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A stretch of the track and the window the model sees for it.

    The stretch is [offset, offset + samples). One shorter than the window is centred in it, with
    the track's own audio on both sides where there is some: `window_start` may be negative, and the
    window may end after the track, where it holds zeros.
    """

    index: int
    offset: int
    samples: int
    window_samples: int

    @property
    def trim_start(self) -> int:
        """Where the stretch begins in the window (Demucs' `center_trim`)."""
        return (self.window_samples - self.samples) // 2

    @property
    def window_start(self) -> int:
        """The window's first sample on the track (Demucs' `TensorChunk.padded`)."""
        return self.offset - self.trim_start


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentPlan:
    """All segments of a track of `total_samples`, `hop_samples` apart."""

    total_samples: int
    segment_samples: int
    hop_samples: int

    def __post_init__(self) -> None:
        if not (self.total_samples > 0 and 0 < self.hop_samples <= self.segment_samples):
            raise ValueError(f"no way to cut a track: {self}")

    def __len__(self) -> int:
        return (self.total_samples + self.hop_samples - 1) // self.hop_samples

    def __iter__(self) -> Iterator[Segment]:
        for index, offset in enumerate(range(0, self.total_samples, self.hop_samples)):
            yield Segment(
                index=index,
                offset=offset,
                samples=min(self.segment_samples, self.total_samples - offset),
                window_samples=self.segment_samples,
            )
