"""Following a job: what has happened, then what happens, until its run has ended."""

import asyncio
from collections.abc import AsyncGenerator
from time import monotonic
from uuid import UUID

import structlog

from gateway.events.repository import EventPage, EventRepository
from stemcore.database.notifications import JOB_CHANGED, Notifications
from stemcore.errors import ErrorCode, NotFound, Unavailable
from stemcore.jobs import JobEvent

POLL_S = 2.0
KEEPALIVE_S = 15.0

_log = structlog.get_logger(__name__)


class EventService:
    """Streams of events that end with the run, with the job, or with the process."""

    def __init__(
        self,
        events: EventRepository,
        *,
        notifications: Notifications,
        stopping: asyncio.Event,
        keepalive_s: float = KEEPALIVE_S,
    ) -> None:
        self._events = events
        self._notifications = notifications
        self._stopping = stopping
        self._keepalive_s = keepalive_s

    async def is_over(self, account_id: UUID, job_id: UUID, *, after: int) -> bool:
        """Whether nothing comes after event number `after`; raises NotFound."""
        page = await self._events.after(account_id, job_id, after)
        if page is None:
            raise NotFound(ErrorCode.JOB_NOT_FOUND, "There is no such job.")
        return page.ends_at(after)

    async def follow(
        self, account_id: UUID, job_id: UUID, *, after: int
    ) -> AsyncGenerator[JobEvent | None]:
        """Events after number `after` as they come; None now and then, when nothing does."""
        spoke_at = monotonic()
        with self._notifications.subscription(JOB_CHANGED, str(job_id)) as hint:
            while not self._stopping.is_set():
                hint.clear()
                page = await self._page(account_id, job_id, after)
                if page is None:
                    return
                for event in page.events:
                    yield event
                    after, spoke_at = event.seq, monotonic()
                if page.ends_at(after):
                    return
                if not page.events:
                    await self._wait(hint)
                if monotonic() - spoke_at >= self._keepalive_s:
                    yield None
                    spoke_at = monotonic()

    async def _page(self, account_id: UUID, job_id: UUID, after: int) -> EventPage | None:
        try:
            return await self._events.after(account_id, job_id, after)
        except Unavailable as error:
            _log.warning("events_unreadable", job_id=str(job_id), reason=str(error.__cause__))
            return EventPage(events=(), final_seq=None)

    async def _wait(self, hint: asyncio.Event) -> None:
        waiters = [asyncio.create_task(event.wait()) for event in (hint, self._stopping)]
        try:
            await asyncio.wait(
                waiters,
                timeout=min(POLL_S, self._keepalive_s),
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            for waiter in waiters:
                waiter.cancel()
