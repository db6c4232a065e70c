"""The only writer of a job's status and of its numbered events, which others are told of."""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from stemcore.database import outbox
from stemcore.database.notifications import JOB_CHANGED, JOBS_QUEUED
from stemcore.ids import new_id
from stemcore.jobs import EventType, JobStatus, event_for, sources_of
from stemcore.messages import JobEvent
from stemcore.telemetry.traces import carrier
from stemcore.topics import EVENTS_TOPIC

if TYPE_CHECKING:
    from stemcore.database.pool import Connection, PooledConnection

# Columns a change of status may set beside it; names are never taken from outside.
_SETTABLE = frozenset(
    {
        "claims",
        "error",
        "expires_at",
        "finished_at",
        "lease_expires_at",
        "lease_owner",
        "lease_token",
        "ledger",
        "measures",
        "not_before",
        "pin",
        "progress",
        "queued_at",
        "results",
        "run",
        "source_facts",
        "stage",
        "started_at",
        "warnings",
    }
)


async def transition(
    connection: "Connection | PooledConnection",
    job_id: UUID,
    *,
    to: JobStatus,
    only_from: JobStatus | None = None,
    lease_token: int | None = None,
    columns: Mapping[str, Any] | None = None,
    data: Mapping[str, Any] | None = None,
) -> bool:
    """Move a job to `to` with its event, inside the caller's transaction.

    With `only_from` it happens only from that status, not from any that the table allows: a message
    that comes late must not retry a failed job. With `lease_token` the change is
    fenced: it happens only for the present holder.
    Returns False, having changed nothing, when the job is elsewhere or the token is stale.
    """
    columns = dict(columns or {})
    if not _SETTABLE.issuperset(columns):
        raise ValueError(f"not columns of a transition: {set(columns) - _SETTABLE}")
    sources = [s.value for s in sources_of(to) if only_from in (None, s)]
    values = [job_id, to.value, sources, lease_token, *columns.values()]
    sets = "".join(f", {name} = ${index}" for index, name in enumerate(columns, start=5))
    job = await connection.fetchrow(
        f"""
        UPDATE jobs
           SET status = $2, last_event = last_event + 1, updated_at = now(){sets}
         WHERE id = $1 AND status = ANY($3::text[])
           AND ($4::bigint IS NULL OR lease_token = $4)
        RETURNING account_id, last_event
        """,  # noqa: S608
        *values,
    )
    if job is None:
        return False
    await _tell(
        connection,
        job_id,
        account_id=job["account_id"],
        seq=job["last_event"],
        type=event_for(to),
        data=data,
    )
    if to is JobStatus.QUEUED:
        await connection.execute("SELECT pg_notify($1, '')", JOBS_QUEUED)
    return True


async def append_progress(
    connection: "Connection | PooledConnection",
    job_id: UUID,
    *,
    lease_token: int,
    progress: float,
    stage: str,
    data: Mapping[str, Any] | None = None,
) -> bool:
    """Write progress (0 to 1) and its event; False when the lease token is stale.

    Nobody outside is told: progress is for who follows the job.
    """
    seq = await connection.fetchval(
        """
        UPDATE jobs SET progress = $3, stage = $4, last_event = last_event + 1, updated_at = now()
         WHERE id = $1 AND lease_token = $2 AND status = 'running'
        RETURNING last_event
        """,
        job_id,
        lease_token,
        progress,
        stage,
    )
    if seq is None:
        return False
    event = {"progress": progress, "stage": stage, **(data or {})}
    await _write_event(connection, job_id, seq=seq, type=EventType.PROGRESS, data=event)
    return True


async def append_accepted(
    connection: "Connection | PooledConnection",
    job_id: UUID,
    *,
    account_id: UUID,
    data: Mapping[str, Any],
) -> None:
    """Write event number 1 of a job just inserted (with `last_event` 1)."""
    await _tell(
        connection, job_id, account_id=account_id, seq=1, type=EventType.ACCEPTED, data=data
    )


async def _tell(
    connection: "Connection | PooledConnection",
    job_id: UUID,
    *,
    account_id: UUID,
    seq: int,
    type: EventType,  # noqa: A002
    data: Mapping[str, Any] | None,
) -> None:
    """Write an event to the log, and leave it for the broker."""
    at = await _write_event(connection, job_id, seq=seq, type=type, data=data)
    event = JobEvent(
        event_id=new_id(),
        job_id=job_id,
        account_id=account_id,
        seq=seq,
        at=at,
        event=type,
        data=dict(data or {}),
    )
    await outbox.enqueue(
        connection, topic=EVENTS_TOPIC, key=str(job_id), message=event, headers=carrier()
    )


async def _write_event(
    connection: "Connection | PooledConnection",
    job_id: UUID,
    *,
    seq: int,
    type: EventType,  # noqa: A002
    data: Mapping[str, Any] | None,
) -> datetime:
    at: datetime = await connection.fetchval(
        "INSERT INTO job_events (job_id, seq, type, data) VALUES ($1, $2, $3, $4) RETURNING at",
        job_id,
        seq,
        type.value,
        dict(data or {}),
    )
    await connection.execute("SELECT pg_notify($1, $2)", JOB_CHANGED, str(job_id))
    return at
