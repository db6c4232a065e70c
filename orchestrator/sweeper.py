"""Bring back what was lost: jobs of dead workers, jobs nobody dispatched, objects nobody owns."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import structlog

from orchestrator.claims import result_prefix
from orchestrator.dispatch import Dispatched, DispatchPath, queue
from orchestrator.watch import UNWATCHED, SweepWatch
from stemcore.database import job_log
from stemcore.database.pool import database_errors
from stemcore.errors import ErrorCode, Unavailable
from stemcore.jobs import JobStatus
from stemcore.storage.port import ObjectStore, StorageError

if TYPE_CHECKING:
    import asyncpg

    from stemcore.database.pool import Pool, PooledConnection

SHORTEST_PAUSE_S = 0.05
DELETED_AT_A_TIME = 100

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepRules:
    """How often to sweep, when a job counts as forgotten, and how often one is tried.

    Prefixes are doomed for a while before they are deleted: a stale holder may still be writing.
    The inbox remembers messages for longer than any broker keeps them, and dead letters as long.
    """

    period_s: float
    undispatched_after_s: float
    doomed_for_s: float
    max_claims: int
    inbox_kept_days: float


class Sweeper:
    """Sweeps now and then; any number of them may run beside each other."""

    def __init__(
        self,
        pool: "Pool",
        store: ObjectStore,
        *,
        rules: SweepRules,
        dispatched: Dispatched,
        watch: SweepWatch = UNWATCHED,
    ) -> None:
        self._pool = pool
        self._store = store
        self._rules = rules
        self._dispatched = dispatched
        self._watch = watch

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            pause_s = self._rules.period_s
            try:
                await self.sweep()
                pause_s = await self._pause_s()
            except Unavailable as error:
                _log.warning("sweep_failed", reason=str(error))
            await asyncio.sleep(pause_s)

    async def _pause_s(self) -> float:
        """A period, or less when a lease runs out before: its job has waited long enough."""
        with database_errors():
            left_s: float = await self._pool.fetchval(
                """
                SELECT least($1, extract(epoch FROM min(lease_expires_at) - now())::float8)
                  FROM jobs WHERE status = 'running'
                """,
                self._rules.period_s,
            )
        return max(SHORTEST_PAUSE_S, left_s)

    async def sweep(self) -> None:
        """One round."""
        with self._watch.sweeping(), database_errors():
            await self._requeue_expired()
            await self._queue_undispatched()
            await self._delete_doomed()
            await self._forget_messages()

    async def _requeue_expired(self) -> None:
        async with self._pool.acquire() as connection, connection.transaction():
            rows = await connection.fetch(
                """
                SELECT id, lease_token, claims, lease_owner, now() AS now FROM jobs
                 WHERE status = 'running' AND lease_expires_at < now()
                   FOR UPDATE SKIP LOCKED
                """
            )
            for row in rows:
                await self._take_back(connection, row)

    async def _take_back(self, connection: "PooledConnection", row: "asyncpg.Record") -> None:
        free: dict[str, Any] = {"lease_owner": None, "lease_expires_at": None}
        exhausted = row["claims"] >= self._rules.max_claims
        if exhausted:
            error = {
                "code": ErrorCode.TOO_MANY_ATTEMPTS.value,
                "message": "The job was started again and again and never came to its end.",
                "details": {"attempts": row["claims"]},
            }
            ended = {"error": error, "finished_at": row["now"], "stage": "failed"}
            await job_log.transition(
                connection,
                row["id"],
                to=JobStatus.FAILED,
                lease_token=row["lease_token"],
                columns={**free, **ended},
                data={"error": error},
            )
        else:
            await job_log.transition(
                connection,
                row["id"],
                to=JobStatus.QUEUED,
                only_from=JobStatus.RUNNING,
                lease_token=row["lease_token"],
                columns={**free, "stage": "queued", "progress": 0.0},
                data={"reason": "lease_expired"},
            )
        await connection.execute(
            "INSERT INTO doomed_prefixes (prefix) VALUES ($1) ON CONFLICT DO NOTHING",
            result_prefix(row["id"], row["lease_token"]),
        )
        self._watch.expired(JobStatus.FAILED if exhausted else JobStatus.QUEUED)
        _log.warning(
            "lease_expired", job_id=str(row["id"]), owner=row["lease_owner"], claims=row["claims"]
        )

    async def _queue_undispatched(self) -> None:
        async with self._pool.acquire() as connection, connection.transaction():
            rows = await connection.fetch(
                """
                SELECT id FROM jobs
                 WHERE status = 'accepted' AND created_at < now() - $1::interval
                   FOR UPDATE SKIP LOCKED
                """,
                timedelta(seconds=self._rules.undispatched_after_s),
            )
            swept = [row["id"] for row in rows]
            for job_id in swept:
                await queue(connection, job_id, data={"reason": "swept"})
        for job_id in swept:
            self._dispatched(DispatchPath.SWEEP)
            _log.warning("job_swept", job_id=str(job_id))

    async def _delete_doomed(self) -> None:
        """Up to the first that fails: leases would run out unseen while a store that hangs is
        asked again and again. In any order, so that none stands in the way of others for good."""
        rows = await self._pool.fetch(
            """
            SELECT prefix FROM doomed_prefixes
             WHERE created_at < now() - $1::interval ORDER BY random() LIMIT $2
            """,
            timedelta(seconds=self._rules.doomed_for_s),
            DELETED_AT_A_TIME,
        )
        for row in rows:
            if not await self._delete(row["prefix"]):
                return

    async def _forget_messages(self) -> None:
        kept = timedelta(days=self._rules.inbox_kept_days)
        await self._pool.execute("DELETE FROM inbox WHERE received_at < now() - $1::interval", kept)
        await self._pool.execute(
            "DELETE FROM dead_letters WHERE created_at < now() - $1::interval", kept
        )

    async def _delete(self, prefix: str) -> bool:
        try:
            deleted = await self._store.delete_prefix(prefix)
        except StorageError as error:
            _log.warning("prefix_not_deleted", prefix=prefix, reason=str(error))
            return False
        await self._pool.execute("DELETE FROM doomed_prefixes WHERE prefix = $1", prefix)
        _log.info("prefix_deleted", prefix=prefix, objects=deleted)
        return True
