"""Looking after what the gateway needs."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.catalogue.service import CatalogueService
from stemcore.catalogue.port import ServedModel
from stemcore.errors import Unavailable
from stemcore.health import CHECK_TIMEOUT_S, Check, complaints


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Every dependency's complaint, None where it is well; and the models.

    `missing` are those without which requests fail; `weakened` those that only delay what was
    accepted, and so never take a gateway out of service.
    """

    complaints: Mapping[str, str | None]
    missing: Mapping[str, str]
    weakened: Mapping[str, str]
    models: tuple[ServedModel, ...]


class HealthService:
    """Asks every dependency for a sign of life."""

    def __init__(
        self,
        *,
        needed: Mapping[str, Check],
        helpful: Mapping[str, Check],
        catalogue: CatalogueService,
    ) -> None:
        self._needed = needed
        self._helpful = helpful
        self._catalogue = catalogue

    async def check(self) -> Health:
        """All dependencies at once, within their time."""
        missing, weakened, models = await asyncio.gather(
            complaints(self._needed), complaints(self._helpful), self._models()
        )
        found = missing | weakened
        return Health(
            complaints={name: found.get(name) for name in (*self._needed, *self._helpful)},
            missing=missing,
            weakened=weakened,
            models=models,
        )

    async def _models(self) -> tuple[ServedModel, ...]:
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_S):
                return await self._catalogue.models()
        except (Unavailable, TimeoutError):
            return ()
