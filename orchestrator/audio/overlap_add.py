"""Join overlapping segments as Demucs does, as a stream."""

import numpy as np
from numpy.typing import NDArray

from orchestrator.audio.segments import Segment, SegmentPlan

Samples = NDArray[np.float32]


def triangular_weights(samples: int) -> Samples:
    """Demucs' weights: 1 .. n/2 and back, divided by their maximum, in float32."""
    half = samples // 2
    rise = np.arange(1, half + 1, dtype=np.float32)
    fall = np.arange(samples - half, 0, -1, dtype=np.float32)
    weights = np.concatenate([rise, fall])
    return weights / weights.max()


class OverlapAdd:
    """A weighted mean of segments; holds one segment of every stem, whatever the track's length.

    The sums run in float32 in the order of the segments, as in `demucs.apply.apply_model`, so the
    outcome is equal to its to the bit for equal segments.
    """

    def __init__(self, plan: SegmentPlan, *, stems: int, channels: int) -> None:
        self._plan = plan
        self._weights = triangular_weights(plan.segment_samples)
        self._sum = np.zeros((stems, channels, plan.segment_samples), dtype=np.float32)
        self._weight_sum = np.zeros(plan.segment_samples, dtype=np.float32)
        self._weighted = np.empty((channels, plan.segment_samples), dtype=np.float32)
        self._next_index = 0

    def add(self, segment: Segment, window: Samples) -> Samples:
        """Take a model's output (stems, channels, window_samples); segments come in order.

        Returns the samples (stems, channels, n) that no later segment touches, from
        `segment.offset` on.
        """
        if segment.index != self._next_index:
            raise ValueError(f"segment {segment.index} instead of {self._next_index}")
        self._next_index += 1
        # A short segment takes the first part of the weights.
        weights = self._weights[: segment.samples]
        start = segment.trim_start
        weighted = self._weighted[:, : segment.samples]
        for total, stem in zip(self._sum, window, strict=True):
            np.multiply(weights, stem[:, start : start + segment.samples], out=weighted)
            total[:, : segment.samples] += weighted
        self._weight_sum[: segment.samples] += weights
        return self._release(min(self._plan.hop_samples, segment.samples))

    def _release(self, samples: int) -> Samples:
        finished = self._sum[..., :samples] / self._weight_sum[:samples]
        hop = self._plan.hop_samples
        kept = self._plan.segment_samples - hop
        self._sum[..., :kept] = self._sum[..., hop:]
        self._sum[..., kept:] = 0
        self._weight_sum[:kept] = self._weight_sum[hop:]
        self._weight_sum[kept:] = 0
        return finished
