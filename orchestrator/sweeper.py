"""Bring back what was lost: jobs of dead workers, jobs nobody dispatched, objects nobody owns."""

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import structlog

from orchestrator.claims import result_prefix
from stemcore.database import job_log
from stemcore.database.pool import database_errors
from stemcore.errors import ErrorCode, Unavailable
from stemcore.jobs import JobStatus
from stemcore.storage.port import ObjectStore, StorageError

if TYPE_CHECKING:
    import asyncpg

    from stemcore.database.pool import Pool, PooledConnection

# A stale holder may still be writing when its prefix is doomed.
DOOMED_FOR = timedelta(minutes=2)
UNDISPATCHED_FOR = timedelta(seconds=30)

_log = structlog.get_logger(__name__)


class Sweeper:
    """Sweeps now and then; any number of them may run beside each other."""

    def __init__(
        self, pool: "Pool", store: ObjectStore, *, period_s: float, max_claims: int
    ) -> None:
        self._pool = pool
        self._store = store
        self._period_s = period_s
        self._max_claims = max_claims

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.sweep()
            except (Unavailable, StorageError) as error:
                _log.warning("sweep_failed", reason=str(error))
            await asyncio.sleep(self._period_s)

    async def sweep(self) -> None:
        """One round."""
        with database_errors():
            await self._requeue_expired()
            await self._queue_undispatched()
            await self._delete_doomed()

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
        if row["claims"] >= self._max_claims:
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
        _log.warning(
            "lease_expired", job_id=str(row["id"]), owner=row["lease_owner"], claims=row["claims"]
        )

    async def _queue_undispatched(self) -> None:
        async with self._pool.acquire() as connection, connection.transaction():
            rows = await connection.fetch(
                """
                SELECT id, now() AS now FROM jobs
                 WHERE status = 'accepted' AND created_at < now() - $1::interval
                   FOR UPDATE SKIP LOCKED
                """,
                UNDISPATCHED_FOR,
            )
            for row in rows:
                await job_log.transition(
                    connection,
                    row["id"],
                    to=JobStatus.QUEUED,
                    only_from=JobStatus.ACCEPTED,
                    columns={"queued_at": row["now"], "stage": "queued"},
                    data={"reason": "swept"},
                )
                _log.warning("job_swept", job_id=str(row["id"]))

    async def _delete_doomed(self) -> None:
        rows = await self._pool.fetch(
            "SELECT prefix FROM doomed_prefixes WHERE created_at < now() - $1::interval",
            DOOMED_FOR,
        )
        for row in rows:
            deleted = await self._store.delete_prefix(row["prefix"])
            await self._pool.execute("DELETE FROM doomed_prefixes WHERE prefix = $1", row["prefix"])
            _log.info("prefix_deleted", prefix=row["prefix"], objects=deleted)
