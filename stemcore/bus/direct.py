"""Dispatch without a broker: the outbox table itself is the queue."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncpg
import structlog

from stemcore.database.notifications import OUTBOX, Notifications, wait_for_hint
from stemcore.database.pool import database_errors
from stemcore.errors import Unavailable
from stemcore.messages import Message, decode

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
    payload: str

    @property
    def message(self) -> Message:
        """The decoded message."""
        return decode(self.payload)

    async def acknowledge(self) -> None:
        """Delete the row."""
        await self.pool.execute("DELETE FROM outbox WHERE id = $1", self.row_id)


class DirectBus:
    """A MessageSource over the outbox of one topic; several readers may see a row twice."""

    def __init__(self, pool: "Pool", notifications: Notifications, *, topic: str) -> None:
        self._pool = pool
        self._notifications = notifications
        self._topic = topic

    async def deliveries(self) -> AsyncIterator[OutboxDelivery]:
        """Rows in the order of their writing."""
        with self._notifications.subscription(OUTBOX) as hint:
            while True:
                rows = await self._fetch()
                for row in rows:
                    yield OutboxDelivery(pool=self._pool, row_id=row["id"], payload=row["payload"])
                if not rows:
                    await wait_for_hint(hint, timeout_s=POLL_S)

    async def _fetch(self) -> list[asyncpg.Record]:
        try:
            with database_errors():
                return await self._pool.fetch(
                    "SELECT id, payload FROM outbox WHERE topic = $1 ORDER BY id LIMIT $2",
                    self._topic,
                    BATCH,
                )
        except Unavailable as error:
            _log.warning("outbox_unreadable", reason=str(error.__cause__))
            return []
