"""Sweepers of several orchestrators over the same rows at the same time."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from orchestrator.adapters.postgres import PostgresClaims
from orchestrator.dispatch import DispatchPath
from orchestrator.sweeper import Sweeper, SweepRules
from stemcore.jobs import JobStatus
from stemcore.separation_request import SEPARATION
from stemcore.storage.filesystem import FilesystemStore
from stemyard.stack.waiting import until
from tests.integration.orchestrator.conftest import LEASE_S, SETTLED_WITHIN_S, Jobs

if TYPE_CHECKING:
    from stemcore.database.pool import Pool

SONG = b"not decoded here"
JOBS = 12
SWEEPERS = 4
# Far longer than the test: only the end of a lease wakes them.
PERIOD_S = 600.0


@pytest.fixture
def dispatched() -> list[DispatchPath]:
    return []


@pytest.fixture
def sweepers(pool: "Pool", store: FilesystemStore, dispatched: list[DispatchPath]) -> list[Sweeper]:
    rules = SweepRules(
        period_s=PERIOD_S,
        undispatched_after_s=30.0,
        doomed_for_s=0.0,
        max_claims=3,
        inbox_kept_days=60,
    )
    return [
        Sweeper(pool, store, rules=rules, dispatched=dispatched.append) for _ in range(SWEEPERS)
    ]


async def swept_by_all(sweepers: list[Sweeper]) -> None:
    await asyncio.gather(*(sweeper.sweep() for sweeper in sweepers for _ in range(3)))


async def test_each_lost_lease_is_taken_back_once(
    sweepers: list[Sweeper], claims: PostgresClaims, jobs: Jobs
) -> None:
    job_ids = [await jobs.submit(SONG) for _ in range(JOBS)]
    for _ in job_ids:
        assert await claims.claim((SEPARATION,)) is not None
    await jobs.pool.execute("UPDATE jobs SET lease_expires_at = now() - interval '1 second'")
    await swept_by_all(sweepers)
    for job_id in job_ids:
        counts = Counter(await jobs.events(job_id))
        assert (counts["job.queued"], counts["job.running"]) == (2, 1)
        assert (await jobs.row(job_id))["claims"] == 1


async def test_each_forgotten_job_is_queued_once(
    sweepers: list[Sweeper], dispatched: list[DispatchPath], jobs: Jobs
) -> None:
    job_ids = [await jobs.submit(SONG, queued=False) for _ in range(JOBS)]
    await jobs.pool.execute("UPDATE jobs SET created_at = now() - interval '1 hour'")
    await swept_by_all(sweepers)
    assert dispatched == [DispatchPath.SWEEP] * JOBS
    for job_id in job_ids:
        assert await jobs.events(job_id) == ["job.accepted", "job.queued"]


async def test_each_doomed_prefix_is_deleted_and_struck_off(
    sweepers: list[Sweeper], jobs: Jobs, store: FilesystemStore
) -> None:
    async def data() -> AsyncIterator[bytes]:
        yield b"x"

    for number in range(JOBS):
        await store.put(f"results/{UUID(int=number)}/1/drums.wav", data())
        await jobs.pool.execute(
            "INSERT INTO doomed_prefixes (prefix) VALUES ($1)", f"results/{UUID(int=number)}/1/"
        )
    await swept_by_all(sweepers)
    assert await jobs.pool.fetchval("SELECT count(*) FROM doomed_prefixes") == 0
    assert await store.delete_prefix("results/") == 0


async def test_a_sweeper_wakes_when_a_lease_runs_out(
    sweepers: list[Sweeper], claims: PostgresClaims, jobs: Jobs
) -> None:
    job_id = await jobs.submit(SONG)
    assert await claims.claim((SEPARATION,)) is not None
    running = [asyncio.create_task(sweeper.run()) for sweeper in sweepers]

    async def is_queued() -> bool:
        return (await jobs.row(job_id))["status"] == JobStatus.QUEUED

    try:
        await until(is_queued, timeout_s=LEASE_S + SETTLED_WITHIN_S)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    assert (await jobs.events(job_id)).count("job.queued") == 2
