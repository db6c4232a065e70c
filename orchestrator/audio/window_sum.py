"""Add windows that stand a fixed hop apart, as a stream."""

import numpy as np
from numpy.typing import NDArray

from orchestrator.audio.segments import Segment, SummedPlan

Samples = NDArray[np.float32]


class WindowSum:
    """A plain sum of windows; holds one window of every stem, whatever the track's length.

    For models whose windows fade into each other by themselves: Spleeter's inverse frames, of
    which those at a seam are in both windows in parts.
    """

    def __init__(self, plan: SummedPlan, *, stems: int, channels: int) -> None:
        self._plan = plan
        self._sum = np.zeros((stems, channels, plan.segment_samples), dtype=np.float32)
        self._next_index = 0

    def add(self, segment: Segment, window: Samples) -> Samples:
        """Take a model's output (stems, channels, window_samples); segments come in order.

        Returns the samples (stems, channels, n) that no later window touches, from where the last
        ones ended. What lies outside the track is left out.
        """
        if segment.index != self._next_index:
            raise ValueError(f"segment {segment.index} instead of {self._next_index}")
        self._next_index += 1
        self._sum += window
        hop = self._plan.hop_samples
        before = -self._plan.delay_samples - segment.offset
        last = min(hop, self._plan.total_samples - segment.offset)
        finished = self._sum[..., min(max(0, before), last) : last].copy()
        kept = self._plan.segment_samples - hop
        self._sum[..., :kept] = self._sum[..., hop:]
        self._sum[..., kept:] = 0
        return finished
