"""Dispatch without a broker: the outbox table itself is the queue."""

from collections.abc import AsyncGenerator, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncpg
import structlog

from stemcore.bus.port import Arrival
from stemcore.database.notifications import OUTBOX, Notifications, wait_for_hint
from stemcore.database.pool import database_errors
from stemcore.errors import Unavailable

if TYPE_CHECKING:
    from stemcore.database.pool import Pool

POLL_S = 1.0
BATCH = 50

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxDelivery:
    """One row of the outbox."""

    pool: "Pool"
    row_id: int
    arrival: Arrival

    async def acknowledge(self) -> None:
        """Delete the row."""
        await self.pool.execute("DELETE FROM outbox WHERE id = $1", self.row_id)


class DirectBus:
    """A MessageSource over the outbox of one topic; several readers may see a row twice.

    Rows of the topics in `unread` are for a broker that is not there, and are dropped.
    """

    def __init__(
        self,
        pool: "Pool",
        notifications: Notifications,
        *,
        topic: str,
        unread: Collection[str] = (),
    ) -> None:
        self._pool = pool
        self._notifications = notifications
        self._topic = topic
        self._unread = list(unread)

    async def deliveries(self) -> AsyncGenerator[OutboxDelivery]:
        """Rows in the order of their writing."""
        with self._notifications.subscription(OUTBOX) as hint:
            while True:
                rows = await self._fetch()
                for row in rows:
                    yield self._delivery(row)
                if not rows:
                    await wait_for_hint(hint, timeout_s=POLL_S)

    def _delivery(self, row: asyncpg.Record) -> OutboxDelivery:
        arrival = Arrival(topic=self._topic, payload=row["payload"], headers=row["headers"])
        return OutboxDelivery(pool=self._pool, row_id=row["id"], arrival=arrival)

    async def _fetch(self) -> list[asyncpg.Record]:
        try:
            with database_errors():
                if self._unread:
                    await self._pool.execute(
                        "DELETE FROM outbox WHERE topic = ANY($1::text[])", self._unread
                    )
                return await self._pool.fetch(
                    "SELECT id, payload, headers FROM outbox WHERE topic = $1 ORDER BY id LIMIT $2",
                    self._topic,
                    BATCH,
                )
        except Unavailable as error:
            _log.warning("outbox_unreadable", reason=str(error.__cause__))
            return []
