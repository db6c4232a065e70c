"""The models, as the inference server tells, or as it last told."""

from stemcore.catalogue.port import ModelCatalogue, ServedModel
from stemcore.errors import ErrorCode, NotFound, Unavailable
from stemcore.sharing import Shared


class CatalogueService:
    """Answers about models; remembers them for when the server is away."""

    def __init__(self, catalogue: ModelCatalogue) -> None:
        self._last_known: tuple[ServedModel, ...] | None = None
        self._asking = Shared(catalogue.models, name="ask-catalogue")

    async def models(self) -> tuple[ServedModel, ...]:
        """The models now; raises Unavailable.

        All who ask at once share one answer, so that a silent server delays nobody twice.
        """
        models = await self._asking.answer()
        self._last_known = models
        return models

    async def model(self, name: str) -> ServedModel:
        """The model of that name; raises NotFound."""
        for model in await self.models():
            if model.card.name == name:
                return model
        raise NotFound(ErrorCode.MODEL_NOT_FOUND, "There is no such model.")

    async def known_models(self) -> tuple[ServedModel, ...]:
        """The models now or, while the server is away, as it last told them.

        A job may be accepted for a model that will be back. Raises Unavailable when the server
        has never answered.
        """
        try:
            return await self.models()
        except Unavailable:
            if self._last_known is None:
                raise
            return self._last_known
