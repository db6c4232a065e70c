"""How an accepted job gets into the queue, and by which way it came."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from uuid import UUID

from stemcore.database import job_log
from stemcore.jobs import JobStatus

if TYPE_CHECKING:
    from stemcore.database.pool import PooledConnection


class DispatchPath(StrEnum):
    """By what a job was queued; the sweep finds only what the other has lost."""

    KAFKA = "kafka"
    DIRECT = "direct"
    SWEEP = "sweep"


Dispatched = Callable[[DispatchPath], None]


async def queue(
    connection: "PooledConnection", job_id: UUID, *, data: Mapping[str, Any] | None = None
) -> bool:
    """Queue the job inside the transaction; False when it is not waiting to be."""
    now = await connection.fetchval("SELECT now()")
    return await job_log.transition(
        connection,
        job_id,
        to=JobStatus.QUEUED,
        only_from=JobStatus.ACCEPTED,
        columns={"queued_at": now, "stage": "queued"},
        data=data,
    )
