"""Which models can be asked for, as the inference server itself tells."""

from dataclasses import dataclass
from typing import Protocol

from stemcore.model_card import ModelCard


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedModel:
    """A model the server has loaded; `refusal` says why we will not use it, if we will not."""

    card: ModelCard
    ready: bool
    refusal: str | None = None

    @property
    def usable(self) -> bool:
        """Whether a job may run on it now."""
        return self.ready and self.refusal is None


class ModelCatalogue(Protocol):
    """The served models, freshly asked."""

    async def models(self) -> tuple[ServedModel, ...]:
        """All of them by name; raises Unavailable when the server does not answer."""
        ...
