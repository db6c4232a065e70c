"""PostgreSQL's NOTIFY as a hint: it wakes waiters early and is never relied upon."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncGenerator, Generator
from typing import TYPE_CHECKING

import asyncpg
import structlog

from stemcore.database.pool import DatabaseSettings

if TYPE_CHECKING:
    from stemcore.database.pool import Connection

KEEPALIVE_S = 15.0
RECONNECT_S = 1.0

OUTBOX = "outbox"
JOBS_QUEUED = "jobs_queued"
JOB_CHANGED = "job_changed"
CHANNELS = (OUTBOX, JOBS_QUEUED, JOB_CHANGED)

_log = structlog.get_logger(__name__)


class Notifications:
    """Waits for payloads on a connection of its own; a lost connection only costs promptness."""

    def __init__(self, settings: DatabaseSettings) -> None:
        self._settings = settings
        self._waiters: dict[tuple[str, str | None], set[asyncio.Event]] = defaultdict(set)

    @contextlib.contextmanager
    def subscription(self, channel: str, payload: str | None = None) -> Generator[asyncio.Event]:
        """An asyncio.Event set at each hint on `channel` (of `payload`, when given)."""
        event = asyncio.Event()
        key = (channel, payload)
        self._waiters[key].add(event)
        try:
            yield event
        finally:
            self._waiters[key].discard(event)
            if not self._waiters[key]:
                del self._waiters[key]

    async def run(self) -> None:
        """Listen until cancelled, reconnecting for ever."""
        while True:
            try:
                async with self._connection() as connection:
                    self._wake_all()
                    while True:
                        await asyncio.sleep(KEEPALIVE_S)
                        await connection.execute("SELECT 1")
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                _log.warning("notifications_lost", reason=str(error))
                await asyncio.sleep(RECONNECT_S)

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncGenerator["Connection"]:
        connection = await asyncpg.connect(
            self._settings.dsn.get_secret_value(),
            timeout=self._settings.connect_timeout_s,
            command_timeout=self._settings.command_timeout_s,
        )
        try:
            for channel in CHANNELS:
                await connection.add_listener(channel, self._receive)
            yield connection
        finally:
            connection.terminate()

    def _receive(self, _connection: object, _pid: int, channel: str, payload: object) -> None:
        for key in ((channel, None), (channel, str(payload))):
            for event in self._waiters.get(key, ()):
                event.set()

    def _wake_all(self) -> None:
        for events in self._waiters.values():
            for event in events:
                event.set()


async def wait_for_hint(event: asyncio.Event, *, timeout_s: float) -> None:
    """Return at the next hint, or after `timeout_s` at the latest."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await event.wait()
    event.clear()
