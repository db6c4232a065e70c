"""How a track is cut into the windows that a model sees."""

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
    """Segments `hop_samples` apart: the windows of Demucs' `apply_model` with `split=True`.

    They cover [-delay_samples, total_samples): a delayed track begins with that much silence.
    """

    total_samples: int
    segment_samples: int
    hop_samples: int
    delay_samples: int = 0

    def __post_init__(self) -> None:
        _require_possible(self)

    def __len__(self) -> int:
        return (self.total_samples + self.delay_samples + self.hop_samples - 1) // self.hop_samples

    def __iter__(self) -> Iterator[Segment]:
        offsets = range(-self.delay_samples, self.total_samples, self.hop_samples)
        for index, offset in enumerate(offsets):
            yield Segment(
                index=index,
                offset=offset,
                samples=min(self.segment_samples, self.total_samples - offset),
                window_samples=self.segment_samples,
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class SummedPlan:
    """Whole windows `hop_samples` apart, the first `lead_in_samples` before the track: Spleeter's.

    Every window that begins before the track's end is needed, since each adds its own part of the
    frames that are in it; none is centred or cut. Delayed as a SegmentPlan is.
    """

    total_samples: int
    segment_samples: int
    hop_samples: int
    lead_in_samples: int = 0
    delay_samples: int = 0

    def __post_init__(self) -> None:
        _require_possible(self)

    @property
    def first_sample(self) -> int:
        """Where the first window begins on the track."""
        return -self.delay_samples - self.lead_in_samples

    def __len__(self) -> int:
        return (self.total_samples - self.first_sample + self.hop_samples - 1) // self.hop_samples

    def __iter__(self) -> Iterator[Segment]:
        offsets = range(self.first_sample, self.total_samples, self.hop_samples)
        for index, offset in enumerate(offsets):
            yield Segment(
                index=index,
                offset=offset,
                samples=self.segment_samples,
                window_samples=self.segment_samples,
            )


Plan = SegmentPlan | SummedPlan


def _require_possible(plan: Plan) -> None:
    fits = plan.total_samples > 0 and 0 < plan.hop_samples <= plan.segment_samples
    if not fits or plan.delay_samples < 0:
        raise ValueError(f"no way to cut a track: {plan}")
