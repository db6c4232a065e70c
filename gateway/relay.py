"""From the outbox to the broker: one gateway at a time, each record at least once, in order."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from typing import TYPE_CHECKING

import asyncpg
import structlog

from stemcore.bus.errors import BusRefused
from stemcore.bus.port import Publisher, Record
from stemcore.database.notifications import OUTBOX, Notifications, wait_for_hint
from stemcore.database.pool import DatabaseSettings, database_errors, prepare_connection
from stemcore.errors import Unavailable

if TYPE_CHECKING:
    from stemcore.database.pool import Connection

POLL_S = 1.0
RETRY_S = 1.0
BATCH = 200
# Whoever holds the turn and says nothing for so long has died or is frozen, and loses it.
FROZEN_AFTER_S = 30.0
_TURN = 0x5354454D  # the key of the advisory lock

_log = structlog.get_logger(__name__)


class Relay:
    """Publishes rows of the outbox and deletes those that are durable at the broker."""

    def __init__(
        self,
        settings: DatabaseSettings,
        notifications: Notifications,
        publisher: Publisher,
        *,
        topics: Collection[str],
        frozen_after_s: float = FROZEN_AFTER_S,
        busy: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._settings = settings
        self._notifications = notifications
        self._publisher = publisher
        self._topics = list(topics)
        self._frozen_after_s = frozen_after_s
        self._busy = busy

    async def run(self) -> None:
        """Until cancelled, whatever is away."""
        with self._notifications.subscription(OUTBOX) as hint:
            while True:
                try:
                    async with self._connection() as connection:
                        await self._relay(connection, hint)
                except BusRefused as error:
                    _log.error("relay_refused", reason=error.message)
                except Unavailable as error:
                    _log.warning("relay_waits", reason=error.message)
                await asyncio.sleep(RETRY_S)

    async def _relay(self, connection: "Connection", hint: asyncio.Event) -> None:
        while True:
            with self._busy():
                await self._publisher.connect()
                more = await self._publish_some(connection)
            if not more:
                await wait_for_hint(hint, timeout_s=POLL_S)

    async def _publish_some(self, connection: "Connection") -> bool:
        """Whether there may be more. The turn is a transaction's, so that a lost one ends it."""
        async with connection.transaction():
            if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", _TURN):
                return False
            rows = await connection.fetch(
                """
                SELECT id, topic, key, payload, headers FROM outbox
                 WHERE topic = ANY($1::text[]) ORDER BY id LIMIT $2
                """,
                self._topics,
                BATCH,
            )
            if not rows:
                return False
            await self._publish(connection, rows)
            await connection.execute(
                "DELETE FROM outbox WHERE id = ANY($1::bigint[])", [row["id"] for row in rows]
            )
        return len(rows) == BATCH

    async def _publish(self, connection: "Connection", rows: Sequence[asyncpg.Record]) -> None:
        records = [
            Record(
                topic=row["topic"], key=row["key"], payload=row["payload"], headers=row["headers"]
            )
            for row in rows
        ]
        for record in await self._publisher.publish(records):
            await connection.execute(
                "INSERT INTO dead_letters (topic, payload, reason) VALUES ($1, $2, $3)",
                record.topic,
                record.payload,
                "too large to be published",
            )
            _log.error("record_too_large", topic=record.topic, key=record.key)

    @asynccontextmanager
    async def _connection(self) -> AsyncGenerator["Connection"]:
        with database_errors():
            connection = await asyncpg.connect(
                self._settings.dsn.get_secret_value(),
                timeout=self._settings.connect_timeout_s,
                command_timeout=self._settings.command_timeout_s,
                server_settings={
                    "idle_in_transaction_session_timeout": f"{self._frozen_after_s * 1000:.0f}"
                },
            )
            try:
                await prepare_connection(connection)
                yield connection
            finally:
                connection.terminate()
