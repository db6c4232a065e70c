"""A catalogue that was told what it holds."""

from stemcore.catalogue.port import ServedModel


class MemoryCatalogue:
    """A ModelCatalogue over a tuple."""

    def __init__(self, *models: ServedModel) -> None:
        self._models = models

    async def models(self) -> tuple[ServedModel, ...]:
        """All of them."""
        return self._models
