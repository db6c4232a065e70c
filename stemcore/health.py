"""Whether what a service leans on is there: a question each, all asked at once, within bounds."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING
from uuid import uuid4

from stemcore.catalogue.port import ServedModel
from stemcore.database.pool import database_errors
from stemcore.errors import Unavailable
from stemcore.storage.port import ObjectMissing, ObjectStore, StorageError

if TYPE_CHECKING:
    from stemcore.database.pool import Pool

# Returns when all is well; raises Unavailable, StorageError, or LookupError with a sentence.
Check = Callable[[], Awaitable[None]]

# Longer than a lost dependency's own timeouts would keep a probe waiting.
CHECK_TIMEOUT_S = 3.0


async def complaints(checks: Mapping[str, Check]) -> dict[str, str]:
    """What is not well, and why, by name."""
    answers = await asyncio.gather(*(_complaint(check) for check in checks.values()))
    return {name: reason for name, reason in zip(checks, answers, strict=True) if reason}


def from_threads(checks: Mapping[str, Check]) -> Callable[[], dict[str, str]]:
    """`complaints` for threads, asked on the event loop that runs now."""
    loop = asyncio.get_running_loop()

    def ask() -> dict[str, str]:
        answer = asyncio.run_coroutine_threadsafe(complaints(checks), loop)
        try:
            return answer.result(CHECK_TIMEOUT_S + 1)
        except TimeoutError:
            answer.cancel()
            return {"event_loop": "No answer in time."}

    return ask


def database_check(pool: "Pool") -> Check:
    """Whether the database answers, and is migrated."""

    async def ask() -> None:
        with database_errors():
            migrated = await pool.fetchval("SELECT to_regclass('jobs') IS NOT NULL")
        if not migrated:
            raise LookupError("The database has not been migrated.")

    return ask


def storage_check(store: ObjectStore) -> Check:
    """Whether the object store answers."""

    async def ask() -> None:
        try:
            await store.size_bytes(f"health/{uuid4()}")
        except ObjectMissing:
            return

    return ask


def engine_check(models: Callable[[], Awaitable[Sequence[ServedModel]]]) -> Check:
    """Whether the inference server has a model that may be used."""

    async def ask() -> None:
        if not any(model.usable for model in await models()):
            raise LookupError("No model is ready that may be used.")

    return ask


async def _complaint(check: Check) -> str | None:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            await check()
    except Unavailable as error:
        return error.message
    except StorageError:
        return "The object store does not answer."
    except LookupError as error:
        return str(error)
    except TimeoutError:
        return "No answer in time."
    return None
