"""Take messages in: one effect each, recorded with their id. No job work happens here."""

from asyncio import sleep
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

import asyncpg
import structlog

from orchestrator.dead_letters import bury, identity_of
from orchestrator.dispatch import Dispatched, DispatchPath
from orchestrator.watch import UNWATCHED, IntakeWatch
from stemcore.bus.port import Arrival, Delivery, MessageSource
from stemcore.database.pool import database_errors
from stemcore.errors import InvalidInput, Unavailable
from stemcore.messages import KnownMessage, Undecodable

if TYPE_CHECKING:
    from stemcore.database.pool import Pool, PooledConnection

RETRY_S = 1.0

_log = structlog.get_logger(__name__)


# Runs inside a transaction and returns the job it has queued, if it has; raises InvalidInput.
Effect = Callable[["PooledConnection"], Awaitable[UUID | None]]


class Reader(Protocol):
    """Knows the messages of one topic."""

    def identity_of(self, message: KnownMessage) -> UUID:
        """Equal for messages that are one: only the first has an effect, or is refused."""
        ...

    async def effect_of(self, message: KnownMessage) -> Effect:
        """Raises InvalidInput for what is refused, Unavailable where that cannot be told now."""
        ...


class Intake:
    """One effect per message, however often and in whatever order it arrives."""

    def __init__(
        self,
        pool: "Pool",
        source: MessageSource,
        reader: Reader,
        *,
        path: DispatchPath,
        dispatched: Dispatched,
        watch: IntakeWatch = UNWATCHED,
    ) -> None:
        self._pool = pool
        self._source = source
        self._reader = reader
        self._path = path
        self._dispatched = dispatched
        self._watch = watch

    async def run(self) -> None:
        """Until cancelled; a delivery whose effect failed stays unacknowledged and comes again."""
        async with aclosing(self._source.deliveries()) as deliveries:
            async for delivery in deliveries:
                try:
                    await self.take(delivery)
                except Unavailable as error:
                    _log.warning("intake_delayed", reason=error.message)
                    await sleep(RETRY_S)

    async def take(self, delivery: Delivery) -> None:
        """The effect of one delivery, then its acknowledgement."""
        with self._watch.taking(delivery.arrival), database_errors():
            await self._settle(delivery.arrival)
            await delivery.acknowledge()

    async def _settle(self, arrival: Arrival) -> None:
        match arrival.message:
            case Undecodable() as unknown:
                await self._bury(arrival, identity=identity_of(arrival), reason=unknown.reason)
            case message:
                await self._take_in(arrival, message)

    async def _take_in(self, arrival: Arrival, message: KnownMessage) -> None:
        identity = self._reader.identity_of(message)
        try:
            await self._once(await self._reader.effect_of(message), identity=identity)
        except InvalidInput as refusal:
            reason = f"{refusal.code}: {refusal.message} {refusal.details or ''}".strip()
            await self._bury(arrival, identity=identity, reason=reason)
        except asyncpg.DataError as error:
            # Nothing that was let through should be unfit to be stored; if it is, others wait.
            await self._bury(arrival, identity=identity, reason=str(error))

    async def _bury(self, arrival: Arrival, *, identity: UUID, reason: str) -> None:
        async def effect(connection: "PooledConnection") -> None:
            await bury(connection, arrival, reason=reason)

        if await self._once(effect, identity=identity):
            self._watch.buried()

    async def _once(self, effect: Effect, *, identity: UUID) -> bool:
        """Whether this was the first time."""
        async with self._pool.acquire() as connection, connection.transaction():
            fresh = await connection.fetchval(
                "INSERT INTO inbox (event_id) VALUES ($1) ON CONFLICT DO NOTHING RETURNING true",
                identity,
            )
            job_id = await effect(connection) if fresh else None
        if job_id is not None:
            self._dispatched(self._path)
            _log.info("job_queued", job_id=str(job_id), path=self._path)
        return bool(fresh)
