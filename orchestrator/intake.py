"""Take messages in: validate, record, mark the job queued. No job work happens here."""

from asyncio import sleep
from typing import TYPE_CHECKING
from uuid import UUID

import structlog

from stemcore.bus.port import Delivery, MessageSource
from stemcore.database import job_log
from stemcore.database.pool import database_errors
from stemcore.errors import Unavailable
from stemcore.jobs import JobStatus
from stemcore.messages import JobRequested, Undecodable

if TYPE_CHECKING:
    from stemcore.database.pool import Pool

RETRY_S = 1.0

_log = structlog.get_logger(__name__)


class Intake:
    """One effect per event id, however often it arrives."""

    def __init__(self, pool: "Pool", source: MessageSource, *, topic: str) -> None:
        self._pool = pool
        self._source = source
        self._topic = topic

    async def run(self) -> None:
        """Until cancelled; a delivery whose effect failed stays unacknowledged and comes again."""
        async for delivery in self._source.deliveries():
            try:
                await self.take(delivery)
            except Unavailable as error:
                _log.warning("intake_delayed", reason=error.message)
                await sleep(RETRY_S)

    async def take(self, delivery: Delivery) -> None:
        """The effect of one delivery, then its acknowledgement."""
        with database_errors():
            match delivery.message:
                case JobRequested() as request:
                    await self._queue(request.event_id, request.job_id)
                case Undecodable() as unknown:
                    await self._bury(unknown)
            await delivery.acknowledge()

    async def _queue(self, event_id: UUID, job_id: UUID) -> None:
        async with self._pool.acquire() as connection, connection.transaction():
            fresh = await connection.fetchval(
                "INSERT INTO inbox (event_id) VALUES ($1) ON CONFLICT DO NOTHING RETURNING true",
                event_id,
            )
            if not fresh:
                return
            now = await connection.fetchval("SELECT now()")
            queued = await job_log.transition(
                connection,
                job_id,
                to=JobStatus.QUEUED,
                only_from=JobStatus.ACCEPTED,
                columns={"queued_at": now, "stage": "queued"},
            )
        _log.info("job_queued" if queued else "job_not_queueable", job_id=str(job_id))

    async def _bury(self, unknown: Undecodable) -> None:
        await self._pool.execute(
            "INSERT INTO dead_letters (topic, payload, reason) VALUES ($1, $2, $3)",
            self._topic,
            unknown.payload,
            unknown.reason,
        )
        _log.warning("message_undecodable", reason=unknown.reason)
