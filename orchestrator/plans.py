"""How often, how delayed and in which windows a request runs a track through its model."""

from collections.abc import Sequence

from orchestrator.audio.joiner import plan_of
from orchestrator.audio.segments import Plan
from orchestrator.audio.shifts import delays
from stemcore.model_card import ModelCard
from stemcore.separation_request import SeparationRequest


def plans_of(request: SeparationRequest, card: ModelCard, *, frames: int) -> Sequence[Plan]:
    """A plan for every run."""
    drawn = delays(request.shifts, seed=request.seed, sample_rate_hz=card.sample_rate)
    return [
        plan_of(card, total_samples=frames, overlap=request.overlap, delay_samples=delay_samples)
        for delay_samples in drawn
    ]
