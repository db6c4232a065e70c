"""A model's way to cut a track and to join what it makes of the pieces, by its card."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from orchestrator.audio.overlap_add import OverlapAdd
from orchestrator.audio.segments import Plan, Segment, SegmentPlan, SummedPlan
from orchestrator.audio.window_sum import WindowSum
from stemcore.model_card import ModelCard

Samples = NDArray[np.float32]


class Joiner(Protocol):
    """Makes one stretch of separated windows."""

    def add(self, segment: Segment, window: Samples) -> Samples:
        """Take the next window's stems (stems, channels, window_samples).

        Returns what is finished by it, (stems, channels, n), from where the last ended. All of it
        together begins `delay_samples` before the track and ends with it.
        """
        ...


def plan_of(
    card: ModelCard, *, total_samples: int, overlap: float | None = None, delay_samples: int = 0
) -> Plan:
    """How the card's model wants a track to be cut; `overlap` None means the card's own."""
    if card.join == "sum":
        return SummedPlan(
            total_samples=total_samples,
            segment_samples=card.segment_samples,
            hop_samples=card.hop_samples(),
            lead_in_samples=card.lead_in_samples,
            delay_samples=delay_samples,
        )
    return SegmentPlan(
        total_samples=total_samples,
        segment_samples=card.segment_samples,
        hop_samples=card.hop_samples(overlap),
        delay_samples=delay_samples,
    )


def joiner_of(plan: Plan, *, stems: int, channels: int) -> Joiner:
    """What joins the windows of this plan."""
    if isinstance(plan, SummedPlan):
        return WindowSum(plan, stems=stems, channels=channels)
    return OverlapAdd(plan, stems=stems, channels=channels)
