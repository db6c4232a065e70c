"""A job as its owner sees it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from stemcore.jobs import JobStatus, ResultFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One row, with the place in the queue and the remaining time reckoned at reading."""

    id: UUID
    kind: str
    status: JobStatus
    run: int
    priority: int
    parameters: Mapping[str, Any]
    metadata: Mapping[str, Any]
    idempotency_digest: str | None
    source_name: str
    source_bytes: int
    source_sha256: str | None
    source_facts: Mapping[str, Any] | None
    stage: str
    progress: float
    error: Mapping[str, Any] | None
    warnings: Sequence[Any]
    results: tuple[ResultFile, ...]
    ledger: Mapping[str, Any]
    measures: Mapping[str, Any]
    created_at: datetime
    updated_at: datetime
    queued_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    expires_at: datetime | None
    queue_position: int | None
    eta_s: float | None

    @property
    def model(self) -> str:
        """The model it runs on."""
        return self.parameters["model"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """What a submission writes."""

    id: UUID
    account_id: UUID
    kind: str
    parameters: Mapping[str, Any]
    metadata: Mapping[str, Any]
    priority: int
    idempotency_key: str | None
    idempotency_digest: str | None
    source_key: str
    source_name: str
    source_bytes: int
    source_sha256: str
    source_facts: Mapping[str, Any]
    ledger: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Which of the caller's jobs a list holds; `before` is the last id of the page before."""

    status: JobStatus | None = None
    model: str | None = None
    before: UUID | None = None
    limit: int = 20


def source_prefix(job_id: UUID) -> str:
    """Where a job's source lies in the object store."""
    return f"sources/{job_id}/"


def results_prefix(job_id: UUID) -> str:
    """Where a job's results lie in the object store."""
    return f"results/{job_id}/"


def claim_prefix(job_id: UUID, lease_token: int) -> str:
    """Where the worker that holds this token, and no other, may put results."""
    return f"{results_prefix(job_id)}{lease_token}/"
