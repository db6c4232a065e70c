"""Which model a run is computed with."""

import asyncio
from time import monotonic

from stemcore.catalogue.port import ModelCatalogue, ServedModel
from stemcore.errors import ErrorCode, InvalidInput, Unavailable
from stemcore.model_card import ModelCard

POLL_S = 0.5


class Models:
    """The served models, with patience for a server that is starting."""

    def __init__(self, catalogue: ModelCatalogue, *, patience_s: float) -> None:
        self._catalogue = catalogue
        self._patience_s = patience_s

    async def any_usable(self) -> bool:
        """Whether it makes sense to take a job at all; raises Unavailable."""
        return any(model.usable for model in await self._catalogue.models())

    async def card(self, name: str) -> ModelCard:
        """The card of a model that is ready.

        Raises InvalidInput for one that is refused, or that a ready server does not have, and
        Unavailable when none got ready in time.
        """
        until = monotonic() + self._patience_s
        while True:
            served, others = await self._find(name)
            if served is not None and served.refusal is not None:
                raise InvalidInput(ErrorCode.MODEL_REFUSED, served.refusal)
            if served is not None and served.ready:
                return served.card
            if monotonic() >= until:
                break
            await asyncio.sleep(POLL_S)
        if served is None and others:
            raise InvalidInput(ErrorCode.UNKNOWN_MODEL, f"There is no model {name!r}.")
        raise Unavailable(ErrorCode.ENGINE_UNAVAILABLE, f"The model {name!r} is not ready.")

    async def _find(self, name: str) -> tuple[ServedModel | None, bool]:
        try:
            models = await self._catalogue.models()
        except Unavailable:
            return None, False
        found = next((model for model in models if model.card.name == name), None)
        return found, any(model.usable for model in models)
