"""Which models can be asked for, as the inference server itself tells."""

from dataclasses import dataclass
from typing import Protocol

from stemcore.model_card import ModelCard


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredSpeed:
    """What the server has measured since it loaded the model: `segments` computed, and how long
    one took in an instance, all others waiting or running beside it."""

    segments: int
    seconds_per_segment: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedModel:
    """A model the server has loaded; `refusal` says why we will not use it, if we will not.

    `speed` is None until something was computed.
    """

    card: ModelCard
    ready: bool
    refusal: str | None = None
    speed: MeasuredSpeed | None = None

    @property
    def usable(self) -> bool:
        """Whether a job may run on it now."""
        return self.ready and self.refusal is None

    @property
    def times_real_time(self) -> float | None:
        """Seconds of audio that one instance separates per second, overlap and all."""
        if self.speed is None:
            return None
        hop_s = self.card.hop_samples() / self.card.sample_rate
        return hop_s / self.speed.seconds_per_segment


class ModelCatalogue(Protocol):
    """The served models, freshly asked."""

    async def models(self) -> tuple[ServedModel, ...]:
        """All of them by name; raises Unavailable when the server does not answer."""
        ...
