"""The book of claims in PostgreSQL."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from orchestrator.adapters.claim_attempts import ClaimAttempts
from orchestrator.claims import Claim, Outcome
from stemcore.database import job_log
from stemcore.database.notifications import JOB_CHANGED, JOBS_QUEUED, Notifications
from stemcore.database.pool import database_errors
from stemcore.errors import StemyardError
from stemcore.jobs import JobStatus

if TYPE_CHECKING:
    from stemcore.database.pool import Pool, PooledConnection


class PostgresClaims:
    """A ClaimBook; times are the database's."""

    def __init__(
        self, pool: "Pool", notifications: Notifications, *, owner: str, lease_length_s: float
    ) -> None:
        self._pool = pool
        self._notifications = notifications
        self._lease_length = timedelta(seconds=lease_length_s)
        self._attempts = ClaimAttempts(pool, owner=owner, lease_length=self._lease_length)

    async def claim(self, kinds: Sequence[str]) -> Claim | None:
        """Lease the most urgent queued job."""
        return await self._attempts.claim(kinds)

    async def renew(self, claim: Claim) -> bool:
        """Hold the lease for another full length."""
        return await self._updated(
            "lease_expires_at = now() + $3::interval", claim, self._lease_length
        )

    async def pin(self, claim: Claim, pin: Mapping[str, str]) -> bool:
        """Record what the run will be computed with."""
        return await self._updated("pin = $3", claim, dict(pin))

    async def progress(
        self, claim: Claim, *, progress: float, stage: str, data: Mapping[str, Any]
    ) -> bool:
        """Write progress and its event."""
        async with self._transaction() as connection:
            return await job_log.append_progress(
                connection,
                claim.job_id,
                lease_token=claim.lease_token,
                progress=progress,
                stage=stage,
                data=data,
            )

    async def succeed(self, claim: Claim, outcome: Outcome) -> bool:
        """Make the results visible, in one fenced transaction."""
        results = [file.to_dict() for file in outcome.results]
        return await self._ended(
            claim,
            to=JobStatus.SUCCEEDED,
            columns={
                "results": results,
                "ledger": dict(outcome.ledger),
                "source_facts": dict(outcome.source_facts),
                "measures": dict(outcome.measures),
                "warnings": [dict(warning) for warning in outcome.warnings],
                "progress": 1.0,
                "stage": "succeeded",
                "claims": 0,
            },
            data={"stems": [file.name for file in outcome.results]},
        )

    async def fail(self, claim: Claim, error: StemyardError) -> bool:
        """End the run with an error."""
        described = describe(error)
        return await self._ended(
            claim,
            to=JobStatus.FAILED,
            columns={"error": described, "stage": "failed"},
            data={"error": described},
        )

    async def release(self, claim: Claim, *, after_s: float, counted: bool) -> bool:
        """Put the job back into the queue."""
        async with self._transaction() as connection:
            now = await connection.fetchval("SELECT now()")
            return await job_log.transition(
                connection,
                claim.job_id,
                to=JobStatus.QUEUED,
                only_from=JobStatus.RUNNING,
                lease_token=claim.lease_token,
                columns={
                    "claims": claim.claims if counted else claim.claims - 1,
                    "not_before": now + timedelta(seconds=after_s),
                    "lease_owner": None,
                    "lease_expires_at": None,
                    "progress": 0.0,
                    "stage": "queued",
                },
            )

    async def doom(self, claim: Claim) -> None:
        """Leave the claim's prefix to the sweeper."""
        with database_errors():
            await self._pool.execute(
                "INSERT INTO doomed_prefixes (prefix) VALUES ($1) ON CONFLICT DO NOTHING",
                claim.result_prefix,
            )

    def queued(self) -> AbstractContextManager[asyncio.Event]:
        """Set when jobs were queued."""
        return self._notifications.subscription(JOBS_QUEUED)

    def changed(self, claim: Claim) -> AbstractContextManager[asyncio.Event]:
        """Set at each entry in the job's log."""
        return self._notifications.subscription(JOB_CHANGED, str(claim.job_id))

    async def _ended(
        self,
        claim: Claim,
        *,
        to: JobStatus,
        columns: Mapping[str, Any],
        data: Mapping[str, Any],
    ) -> bool:
        async with self._transaction() as connection:
            now = await connection.fetchval("SELECT now()")
            ended = {"finished_at": now, "lease_owner": None, "lease_expires_at": None}
            changed = await job_log.transition(
                connection,
                claim.job_id,
                to=to,
                lease_token=claim.lease_token,
                columns={**columns, **ended},
                data=data,
            )
            return changed or await _stands(connection, claim, to)

    async def _updated(self, assignment: str, claim: Claim, value: Any) -> bool:
        with database_errors():
            tag = await self._pool.execute(
                f"""
                UPDATE jobs SET {assignment}
                 WHERE id = $1 AND lease_token = $2 AND status = 'running'
                """,  # noqa: S608
                claim.job_id,
                claim.lease_token,
                value,
            )
        return tag == "UPDATE 1"

    @asynccontextmanager
    async def _transaction(self) -> AsyncGenerator["PooledConnection"]:
        with database_errors():
            async with self._pool.acquire() as connection, connection.transaction():
                yield connection


async def _stands(connection: "PooledConnection", claim: Claim, status: JobStatus) -> bool:
    """Whether this very claim has brought the job there already: a commit's answer may get lost."""
    return bool(
        await connection.fetchval(
            "SELECT true FROM jobs WHERE id = $1 AND lease_token = $2 AND status = $3",
            claim.job_id,
            claim.lease_token,
            status.value,
        )
    )


def describe(error: StemyardError) -> dict[str, Any]:
    """An error as the job row keeps it and clients see it."""
    return {"code": error.code.value, "message": error.message, "details": error.details}
