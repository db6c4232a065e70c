"""Looking after what the gateway needs."""

import asyncio
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

from gateway.catalogue.service import CatalogueService
from stemcore.catalogue.port import ServedModel
from stemcore.database.pool import database_errors
from stemcore.errors import Unavailable
from stemcore.storage.port import ObjectMissing, ObjectStore, StorageError

if TYPE_CHECKING:
    from stemcore.database.pool import Pool

# Longer than a lost dependency's own timeouts would keep a probe waiting.
CHECK_TIMEOUT_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Each dependency's complaint, None where it is well; and the models."""

    database: str | None
    engine: str | None
    storage: str | None
    models: tuple[ServedModel, ...]

    @property
    def complaints(self) -> Mapping[str, str | None]:
        """By dependency."""
        return {"database": self.database, "engine": self.engine, "storage": self.storage}

    @property
    def missing(self) -> dict[str, str]:
        """What is not well, and why."""
        return {name: reason for name, reason in self.complaints.items() if reason is not None}


class HealthService:
    """Asks every dependency for a sign of life."""

    def __init__(self, *, pool: "Pool", store: ObjectStore, catalogue: CatalogueService) -> None:
        self._pool = pool
        self._store = store
        self._catalogue = catalogue

    async def check(self) -> Health:
        """All dependencies at once, within CHECK_TIMEOUT_S."""
        database, storage, (engine, models) = await asyncio.gather(
            _complaint(self._ask_database()),
            _complaint(self._ask_storage()),
            self._ask_engine(),
        )
        return Health(database=database, engine=engine, storage=storage, models=models)

    async def _ask_database(self) -> None:
        with database_errors():
            migrated = await self._pool.fetchval("SELECT to_regclass('jobs') IS NOT NULL")
        if not migrated:
            raise LookupError("The database has not been migrated.")

    async def _ask_storage(self) -> None:
        try:
            await self._store.size_bytes(f"health/{uuid4()}")
        except ObjectMissing:
            return

    async def _ask_engine(self) -> tuple[str | None, tuple[ServedModel, ...]]:
        models: tuple[ServedModel, ...] = ()

        async def ask() -> None:
            nonlocal models
            models = await self._catalogue.models()
            if not any(model.usable for model in models):
                raise LookupError("No model is ready that may be used.")

        return await _complaint(ask()), models


async def _complaint(check: Awaitable[None]) -> str | None:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            await check
    except Unavailable as error:
        return error.message
    except StorageError:
        return "The object store does not answer."
    except LookupError as error:
        return str(error)
    except TimeoutError:
        return "No answer in time."
    return None
