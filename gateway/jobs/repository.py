"""Jobs in PostgreSQL, always within one account."""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg

from gateway.errors import LimitReached
from gateway.jobs.job import (
    Job,
    JobFilter,
    NewJob,
    claim_prefix,
    results_prefix,
    source_prefix,
)
from stemcore.database import job_log, outbox
from stemcore.database.pool import database_errors
from stemcore.errors import Conflict, ErrorCode, NotFound
from stemcore.ids import new_id
from stemcore.jobs import JobStatus, ResultFile
from stemcore.messages import JobRequested
from stemcore.telemetry.traces import carrier
from stemcore.topics import JOBS_TOPIC

if TYPE_CHECKING:
    from stemcore.database.pool import Pool, PooledConnection

_RECKONED = {
    "queue_position": """
        CASE WHEN status IN ('accepted', 'queued') THEN (
            SELECT 1 + count(*) FROM jobs AS other
             WHERE other.status IN ('accepted', 'queued')
               AND (-other.priority, other.turn, other.id) < (-jobs.priority, jobs.turn, jobs.id)
        ) END""",
    "eta_s": """
        CASE WHEN status = 'running' AND progress > 0.01 THEN
            extract(epoch FROM now() - started_at)::float8 * (1 - progress) / progress
        END""",
}
_COLUMNS = ", ".join(
    f"{_RECKONED[field.name]} AS {field.name}" if field.name in _RECKONED else field.name
    for field in dataclasses.fields(Job)
)
_LIVE = [status.value for status in JobStatus if not status.is_terminal]

# Told of each change of a job's status that this process has committed.
StatusChanged = Callable[[JobStatus], None]


def _unheard(_status: JobStatus) -> None:
    """Nobody wants to know."""


class IdempotencyKeyTaken(Exception):
    """The account has a job of that key already."""


class JobRepository:
    """Reads and writes jobs."""

    def __init__(
        self, pool: "Pool", *, max_live_jobs: int, changed: StatusChanged = _unheard
    ) -> None:
        self._pool = pool
        self._max_live_jobs = max_live_jobs
        self._changed = changed

    async def add(self, job: NewJob) -> None:
        """Write the job, its first event and its message in one transaction.

        Raises LimitReached and IdempotencyKeyTaken.
        """
        with database_errors():
            try:
                async with self._pool.acquire() as connection, connection.transaction():
                    await _one_after_the_other(connection, job.account_id)
                    await self._require_room(connection, job.account_id)
                    await _insert(connection, job)
            except asyncpg.UniqueViolationError:
                raise IdempotencyKeyTaken from None
        self._changed(JobStatus.ACCEPTED)

    async def require_room(self, account_id: UUID) -> None:
        """Raises LimitReached where `add` would, now, so that no song is sent in vain."""
        with database_errors():
            async with self._pool.acquire() as connection:
                await self._require_room(connection, account_id)

    async def _require_room(self, connection: "PooledConnection", account_id: UUID) -> None:
        live = await connection.fetchval(
            "SELECT count(*) FROM jobs WHERE account_id = $1 AND status = ANY($2::text[])",
            account_id,
            _LIVE,
        )
        if live >= self._max_live_jobs:
            raise LimitReached(
                ErrorCode.TOO_MANY_JOBS,
                "Too many jobs are under way; wait until one has ended.",
                details={"live_jobs": live, "max_live_jobs": self._max_live_jobs},
            )

    async def find(self, account_id: UUID, job_id: UUID) -> Job:
        """The account's job of that id; raises NotFound."""
        job = await self._find("id = $2", account_id, job_id)
        if job is None:
            raise _no_such_job()
        return job

    async def find_by_idempotency_key(self, account_id: UUID, key: str) -> Job | None:
        """The account's job that was submitted with that key."""
        return await self._find("idempotency_key = $2", account_id, key)

    async def _find(self, condition: str, *values: Any) -> Job | None:
        with database_errors():
            row = await self._pool.fetchrow(
                f"SELECT {_COLUMNS} FROM jobs WHERE account_id = $1 AND {condition}",  # noqa: S608
                *values,
            )
        return _job(row) if row else None

    async def list(self, account_id: UUID, wanted: JobFilter) -> list[Job]:
        """The account's jobs, newest first; one more than `limit` when there are more."""
        with database_errors():
            rows = await self._pool.fetch(
                f"""
                SELECT {_COLUMNS} FROM jobs
                 WHERE account_id = $1
                   AND ($2::text IS NULL OR status = $2)
                   AND ($3::text IS NULL OR parameters->>'model' = $3)
                   AND ($4::uuid IS NULL OR id < $4)
                 ORDER BY id DESC LIMIT $5
                """,  # noqa: S608
                account_id,
                wanted.status,
                wanted.model,
                wanted.before,
                wanted.limit + 1,
            )
        return [_job(row) for row in rows]

    async def cancel(self, account_id: UUID, job_id: UUID) -> None:
        """Cancel and fence off whoever runs it; raises NotFound, and Conflict when it has ended."""
        with database_errors():
            async with self._pool.acquire() as connection, connection.transaction():
                row = await _lock(connection, account_id, job_id)
                status = JobStatus(row["status"])
                if status is JobStatus.CANCELLED:
                    return
                if status.is_terminal:
                    raise Conflict(
                        ErrorCode.JOB_FINISHED,
                        f"The job has already {status}.",
                        details={"status": status.value},
                    )
                await _cancel(connection, job_id, lease_token=row["lease_token"])
                if status is JobStatus.RUNNING:
                    # Its worker deletes what is there by now, unless it dies first.
                    await _doom(connection, claim_prefix(job_id, row["lease_token"]))
        self._changed(JobStatus.CANCELLED)

    async def delete(self, account_id: UUID, job_id: UUID) -> bool:
        """Delete the job and doom its objects; returns whether a worker may still write some."""
        with database_errors():
            async with self._pool.acquire() as connection, connection.transaction():
                row = await _lock(connection, account_id, job_id)
                status = JobStatus(row["status"])
                if not status.is_terminal:
                    await _cancel(connection, job_id, lease_token=row["lease_token"])
                await _doom(connection, source_prefix(job_id), results_prefix(job_id))
                await connection.execute("DELETE FROM jobs WHERE id = $1", job_id)
        if not status.is_terminal:
            self._changed(JobStatus.CANCELLED)
        return status is JobStatus.RUNNING

    async def forget_prefixes(self, *prefixes: str) -> None:
        """Strike off doomed prefixes whose objects are gone."""
        with database_errors():
            await self._pool.execute(
                "DELETE FROM doomed_prefixes WHERE prefix = ANY($1::text[])", list(prefixes)
            )


async def _one_after_the_other(connection: "PooledConnection", account_id: UUID) -> None:
    """Holds up the account's other submissions, so that each counts the one before."""
    await connection.execute("SELECT 1 FROM accounts WHERE id = $1 FOR UPDATE", account_id)


async def _insert(connection: "PooledConnection", job: NewJob) -> None:
    row = {field.name: getattr(job, field.name) for field in dataclasses.fields(NewJob)}
    row["trace_context"] = carrier()
    names = ", ".join(row)
    places = ", ".join(f"${place}" for place in range(2, len(row) + 2))
    await connection.execute(
        f"INSERT INTO jobs (status, {names}) VALUES ($1, {places})",  # noqa: S608
        JobStatus.ACCEPTED.value,
        *row.values(),
    )
    await job_log.append_accepted(
        connection, job.id, account_id=job.account_id, data={"source": job.source_name}
    )
    message = JobRequested(
        event_id=new_id(), job_id=job.id, kind=job.kind, account_id=job.account_id
    )
    await outbox.enqueue(
        connection, topic=JOBS_TOPIC, key=str(job.id), message=message, headers=carrier()
    )


async def _lock(connection: "PooledConnection", account_id: UUID, job_id: UUID) -> "asyncpg.Record":
    row = await connection.fetchrow(
        "SELECT status, lease_token FROM jobs WHERE account_id = $1 AND id = $2 FOR UPDATE",
        account_id,
        job_id,
    )
    if row is None:
        raise _no_such_job()
    return row


async def _cancel(connection: "PooledConnection", job_id: UUID, *, lease_token: int) -> None:
    now = await connection.fetchval("SELECT now()")
    await job_log.transition(
        connection,
        job_id,
        to=JobStatus.CANCELLED,
        columns={
            "lease_token": lease_token + 1,
            "lease_owner": None,
            "lease_expires_at": None,
            "finished_at": now,
            "stage": JobStatus.CANCELLED.value,
        },
    )


async def _doom(connection: "PooledConnection", *prefixes: str) -> None:
    await connection.execute(
        """
        INSERT INTO doomed_prefixes (prefix) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING
        """,
        list(prefixes),
    )


def _no_such_job() -> NotFound:
    return NotFound(ErrorCode.JOB_NOT_FOUND, "There is no such job.")


def _job(row: "asyncpg.Record") -> Job:
    values = dict(row)
    values["status"] = JobStatus(values["status"])
    values["results"] = tuple(ResultFile(**result) for result in values["results"])
    return Job(**values)
