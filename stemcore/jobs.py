"""The job: its status, the one table of transitions, its facts. Knows nothing of separation."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID


class JobStatus(StrEnum):
    """Where a job stands; `RUNNING` is the only one that holds a lease."""

    ACCEPTED = "accepted"
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        """Whether the present run has ended."""
        return self in (JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED)


TRANSITIONS: Mapping[JobStatus, frozenset[JobStatus]] = {
    JobStatus.ACCEPTED: frozenset({JobStatus.QUEUED, JobStatus.CANCELLED}),
    JobStatus.QUEUED: frozenset({JobStatus.RUNNING, JobStatus.CANCELLED}),
    JobStatus.RUNNING: frozenset(
        {JobStatus.QUEUED, JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED}
    ),
    JobStatus.SUCCEEDED: frozenset(),
    JobStatus.FAILED: frozenset({JobStatus.QUEUED}),
    JobStatus.CANCELLED: frozenset({JobStatus.QUEUED}),
}


def sources_of(status: JobStatus) -> frozenset[JobStatus]:
    """The statuses a job may have just before it takes `status`."""
    return frozenset(before for before, after in TRANSITIONS.items() if status in after)


class EventType(StrEnum):
    """Kinds of entries in a job's numbered event log."""

    ACCEPTED = "job.accepted"
    QUEUED = "job.queued"
    RUNNING = "job.running"
    PROGRESS = "job.progress"
    SUCCEEDED = "job.succeeded"
    FAILED = "job.failed"
    CANCELLED = "job.cancelled"


def event_for(status: JobStatus) -> EventType:
    """The event that tells of a change to `status`."""
    return EventType(f"job.{status}")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEvent:
    """One entry of a job's log; `seq` counts from 1 without gaps."""

    job_id: UUID
    seq: int
    at: datetime
    type: EventType
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultFile:
    """One published file of a job.

    `made_by` tells of one that was not made in the usual way of the job's kind.
    """

    name: str
    filename: str
    key: str
    content_type: str
    size_bytes: int
    sha256: str
    made_by: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The form kept in the job row."""
        row = {field: getattr(self, field) for field in self.__slots__}
        return {field: value for field, value in row.items() if value is not None}
