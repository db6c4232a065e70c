"""Events of jobs in PostgreSQL, always within one account."""

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from stemcore.database.pool import database_errors
from stemcore.jobs import EventType, JobEvent, JobStatus

if TYPE_CHECKING:
    import asyncpg

    from stemcore.database.pool import Pool

PAGE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPage:
    """Events that were there, and the last one of a job whose run has ended, else None."""

    events: tuple[JobEvent, ...]
    final_seq: int | None

    def ends_at(self, seq: int) -> bool:
        """Whether nothing comes after event number `seq`."""
        return self.final_seq is not None and seq >= self.final_seq


class EventRepository:
    """Reads events."""

    def __init__(self, pool: "Pool") -> None:
        self._pool = pool

    async def after(self, account_id: UUID, job_id: UUID, seq: int) -> EventPage | None:
        """The events after number `seq`; None when the account has no such job."""
        with database_errors():
            job = await self._pool.fetchrow(
                "SELECT status, last_event FROM jobs WHERE account_id = $1 AND id = $2",
                account_id,
                job_id,
            )
            if job is None:
                return None
            rows = await self._pool.fetch(
                """
                SELECT job_id, seq, at, type, data FROM job_events
                 WHERE job_id = $1 AND seq > $2 ORDER BY seq LIMIT $3
                """,
                job_id,
                seq,
                PAGE,
            )
        return EventPage(
            events=tuple(_event(row) for row in rows),
            final_seq=job["last_event"] if JobStatus(job["status"]).is_terminal else None,
        )


def _event(row: "asyncpg.Record") -> JobEvent:
    return JobEvent(
        job_id=row["job_id"],
        seq=row["seq"],
        at=row["at"],
        type=EventType(row["type"]),
        data=row["data"],
    )
