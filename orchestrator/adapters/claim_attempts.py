"""Taking jobs in PostgreSQL, one attempt after the other, each known by an owner of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import TYPE_CHECKING

from orchestrator.claims import Claim
from stemcore.database import job_log
from stemcore.database.pool import database_errors
from stemcore.errors import Unavailable
from stemcore.jobs import JobStatus

if TYPE_CHECKING:
    import asyncpg

    from stemcore.database.pool import Pool, PooledConnection

# Within a priority by turns, which give each account its share; see the migration that makes them.
MOST_URGENT = """
    SELECT id, account_id, kind, priority, parameters, source_key, source_bytes,
           source_sha256, lease_token, claims, ledger, trace_context, now() AS now,
           extract(epoch FROM now() - coalesce(queued_at, created_at))::float8 AS waited
      FROM jobs
     WHERE status = 'queued' AND kind = ANY($1::text[])
       AND (not_before IS NULL OR not_before <= now())
     ORDER BY priority DESC, turn, queued_at
     LIMIT 1
       FOR UPDATE SKIP LOCKED
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attempt:
    """A claim with an owner of its own: tokens of claims that were never committed come again."""

    claim: Claim
    owner: str


class ClaimAttempts:
    """All attempts of one worker; its slots share them."""

    def __init__(self, pool: "Pool", *, owner: str, lease_length: timedelta) -> None:
        self._pool = pool
        self._owner = owner
        self._lease_length = lease_length
        self._numbers = count(1)
        self._unanswered: list[_Attempt] = []

    async def claim(self, kinds: Sequence[str]) -> Claim | None:
        """Lease the most urgent queued job; before that, one whose answer got lost."""
        while self._unanswered:
            attempt = self._unanswered.pop()
            try:
                if await self._has_landed(attempt):
                    return attempt.claim
            except Unavailable:
                self._unanswered.append(attempt)
                raise
        return await self._take(kinds)

    async def _take(self, kinds: Sequence[str]) -> Claim | None:
        attempt: _Attempt | None = None
        try:
            with database_errors():
                async with self._pool.acquire() as connection, connection.transaction():
                    attempt = await self._leased(connection, kinds)
        except Unavailable:
            if attempt is not None:
                self._unanswered.append(attempt)
            raise
        return attempt.claim if attempt is not None else None

    async def _leased(
        self, connection: "PooledConnection", kinds: Sequence[str]
    ) -> _Attempt | None:
        """What becomes a claim when the transaction is committed."""
        row = await connection.fetchrow(MOST_URGENT, list(kinds))
        if row is None:
            return None
        claim = _claim_of(row)
        attempt = _Attempt(claim=claim, owner=f"{self._owner}/{next(self._numbers)}")
        await job_log.transition(
            connection,
            claim.job_id,
            to=JobStatus.RUNNING,
            only_from=JobStatus.QUEUED,
            columns={
                "lease_token": claim.lease_token,
                "lease_owner": attempt.owner,
                "lease_expires_at": row["now"] + self._lease_length,
                "claims": claim.claims,
                "started_at": row["now"],
                "progress": 0.0,
                "stage": "starting",
            },
            data={"claims": claim.claims},
        )
        return attempt

    async def _has_landed(self, attempt: _Attempt) -> bool:
        """Whether a claim was committed without our hearing of it; renews it then."""
        with database_errors():
            tag = await self._pool.execute(
                """
                UPDATE jobs SET lease_expires_at = now() + $4::interval
                 WHERE id = $1 AND lease_token = $2 AND lease_owner = $3 AND status = 'running'
                """,
                attempt.claim.job_id,
                attempt.claim.lease_token,
                attempt.owner,
                self._lease_length,
            )
        return tag == "UPDATE 1"


def _claim_of(row: "asyncpg.Record") -> Claim:
    return Claim(
        job_id=row["id"],
        account_id=row["account_id"],
        kind=row["kind"],
        priority=row["priority"],
        parameters=row["parameters"],
        source_key=row["source_key"],
        source_bytes=row["source_bytes"],
        source_sha256=row["source_sha256"],
        lease_token=row["lease_token"] + 1,
        claims=row["claims"] + 1,
        queue_s=row["waited"],
        ledger=row["ledger"],
        trace_context=row["trace_context"],
    )
