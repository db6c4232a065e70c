"""Who works on a job, for how long, and what becomes of it. Knows nothing of separation."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from stemcore.errors import StemyardError
from stemcore.jobs import ResultFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A job leased to this worker; `lease_token` fences every write made in its name.

    `claims` counts how often the job was taken in this run without success, this time included;
    `ledger` holds the seconds booked before, by the gateway. `source_sha256` is None where the
    submitter did not say it. `trace_context` is what `carrier()` gave where the job was submitted.
    """

    job_id: UUID
    account_id: UUID
    kind: str
    priority: int
    parameters: Mapping[str, Any]
    source_key: str
    source_bytes: int
    source_sha256: str | None
    lease_token: int
    claims: int
    queue_s: float
    ledger: Mapping[str, float]
    trace_context: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def result_prefix(self) -> str:
        """Where this claim, and no other, may put objects."""
        return result_prefix(self.job_id, self.lease_token)


def result_prefix(job_id: UUID, lease_token: int) -> str:
    """The prefix of one claim's objects."""
    return f"results/{job_id}/{lease_token}/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a successful run leaves in the job row.

    `ledger` holds seconds per stage and counts, `measures` figures about the result, `warnings` a
    code and a message each.
    """

    results: Sequence[ResultFile]
    ledger: Mapping[str, Any]
    source_facts: Mapping[str, Any]
    measures: Mapping[str, Any]
    warnings: Sequence[Mapping[str, str]]


class Interrupted(Exception):
    """This worker stops; the run is in order and may be taken up by another one at once."""


class ClaimBook(Protocol):
    """The book of claims. Writes return False, changing nothing, when the claim is stale.

    All raise Unavailable when the database does not answer.
    """

    async def claim(self, kinds: Sequence[str]) -> Claim | None:
        """Lease the most urgent queued job of these kinds, if there is one."""
        ...

    async def renew(self, claim: Claim) -> bool:
        """Hold the lease for another full length."""
        ...

    async def pin(self, claim: Claim, pin: Mapping[str, str]) -> bool:
        """Record what the run will be computed with."""
        ...

    async def progress(
        self, claim: Claim, *, progress: float, stage: str, data: Mapping[str, Any]
    ) -> bool:
        """Tell how far it is, from 0 to 1."""
        ...

    async def succeed(self, claim: Claim, outcome: Outcome) -> bool:
        """Make the results visible."""
        ...

    async def fail(self, claim: Claim, error: StemyardError) -> bool:
        """End the run with an error."""
        ...

    async def release(self, claim: Claim, *, after_s: float, counted: bool) -> bool:
        """Put the job back; `counted` False gives the claim's count back."""
        ...

    async def doom(self, claim: Claim) -> None:
        """Have what the claim has stored deleted later. For a claim that published nothing."""
        ...

    def queued(self) -> AbstractContextManager[asyncio.Event]:
        """A hint that jobs may be waiting."""
        ...

    def changed(self, claim: Claim) -> AbstractContextManager[asyncio.Event]:
        """A hint that someone else changed the job."""
        ...


class Progress(Protocol):
    """Where a run tells how far it is; the receiver decides how often that is written."""

    async def __call__(self, fraction: float, *, stage: str, eta_s: float | None = None) -> None:
        """Raises LeaseLost when the claim is stale."""
        ...


class JobRunner(Protocol):
    """Runs jobs of one kind."""

    async def run(self, claim: Claim, progress: Progress) -> Outcome:
        """Store results under the claim's prefix and tell of them; cleans up its scratch always.

        Raises InvalidInput (never retry), Unavailable (retry later), LeaseLost or Interrupted.
        """
        ...

    async def discard(self, claim: Claim) -> None:
        """Delete what the claim has stored."""
        ...
