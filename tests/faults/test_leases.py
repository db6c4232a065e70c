"""What becomes of a job when the process that runs it is killed, frozen, stopped or cut off."""

import signal
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from gateway.jobs.repository import JobRepository
from stemyard.stack.waiting import until
from tests.faults.floor import GRACE_S, LEASE_S, PATIENCE_S, Floor, Worker
from tests.faults.link import Link
from tests.integration.orchestrator.cards import GAINS

if TYPE_CHECKING:
    from datetime import datetime

    import asyncpg

STEMS = sorted(f"{stem}.wav" for stem in GAINS)
# How much later than the end of its lease a job may go on.
RESUMED_WITHIN_S = 5.0
WINDOW = 2
# Long enough for the job to outlast the grace.
LONG_SEGMENT_S = 0.5
# To give up what is being asked of a database that does not answer.
DATABASE_TIMEOUTS_S = 20.0

pytestmark = pytest.mark.timeout(600)


async def runs_of(floor: Floor, job_id: UUID) -> "list[asyncpg.Record]":
    return await floor.pool.fetch(
        "SELECT at, data FROM job_events WHERE job_id = $1 AND type = 'job.running' ORDER BY seq",
        job_id,
    )


async def claims_charged(floor: Floor, job_id: UUID) -> list[int]:
    """The count with which each run of the job began."""
    return [run["data"]["claims"] for run in await runs_of(floor, job_id)]


async def now(floor: Floor) -> "datetime":
    return await floor.pool.fetchval("SELECT clock_timestamp()")


async def published_by(floor: Floor, job_id: UUID) -> set[str]:
    """The tokens below which objects lie, once the sweeper has been there."""
    await floor.swept()
    assert floor.partial_objects() == []
    return {key.split("/")[0] for key in floor.objects(job_id)}


async def test_a_killed_workers_job_goes_on_elsewhere(
    floor: Floor, song: bytes, calm: dict[str, str]
) -> None:
    for _ in range(2):
        await floor.start()
    job_id = await floor.jobs.submit(song)
    holder = await floor.holder(job_id)
    holder.send(signal.SIGKILL)
    killed_at = await now(floor)
    assert await floor.succeeded(job_id) == calm
    first, second = await runs_of(floor, job_id)
    assert first["at"] < killed_at
    assert (second["at"] - killed_at).total_seconds() <= LEASE_S + RESUMED_WITHIN_S
    assert await published_by(floor, job_id) == {"2"}
    assert floor.objects(job_id) == [f"2/{stem}" for stem in STEMS]


async def test_a_frozen_worker_that_comes_back_late_publishes_nothing(
    floor: Floor, song: bytes, calm: dict[str, str]
) -> None:
    for _ in range(2):
        await floor.start()
    job_id = await floor.jobs.submit(song)
    late = await floor.holder(job_id)
    late.send(signal.SIGSTOP)
    assert await floor.succeeded(job_id) == calm
    published = floor.objects(job_id)
    events = await floor.jobs.events(job_id)
    late.send(signal.SIGCONT)
    await late.idle()
    assert await published_by(floor, job_id) == {"2"}
    assert floor.objects(job_id) == published
    assert await floor.jobs.events(job_id) == events
    assert late.is_running
    await works_again(floor, late, song)


async def works_again(floor: Floor, worker: Worker, song: bytes) -> None:
    """Alone, it takes a job and ends it."""
    for other in floor.workers:
        if other is not worker and other.is_running:
            other.send(signal.SIGKILL)
    before = worker.begun()
    await floor.succeeded(await floor.jobs.submit(song))
    assert worker.begun() > before


async def test_a_worker_told_to_stop_ends_its_segments_and_gives_the_job_back_uncounted(
    floor: Floor, song: bytes, calm: dict[str, str]
) -> None:
    stopped = await floor.start(segment_s=LONG_SEGMENT_S, TRITON__WINDOW=WINDOW)
    job_id = await floor.jobs.submit(song)
    await floor.holder(job_id)
    successor = await floor.start()
    stopped.send(signal.SIGTERM)
    assert await stopped.ended(timeout_s=GRACE_S) == 0
    assert stopped.unfinished() == 0
    row = await floor.jobs.row(job_id)
    assert row["claims"] == (0 if row["status"] == "queued" else 1)
    assert await floor.succeeded(job_id) == calm
    assert successor.begun() > stopped.begun()
    assert await claims_charged(floor, job_id) == [1, 1]
    assert await published_by(floor, job_id) == {"2"}


async def test_a_worker_told_to_stop_ends_a_job_that_its_grace_allows(
    floor: Floor, song: bytes, calm: dict[str, str]
) -> None:
    worker = await floor.start(segment_s=0.0, SHUTDOWN_GRACE_S=PATIENCE_S)
    job_id = await floor.jobs.submit(song)
    await floor.holder(job_id, progress=0.0)
    worker.send(signal.SIGTERM)
    assert await worker.ended(timeout_s=PATIENCE_S) == 0
    assert await floor.succeeded(job_id) == calm
    assert await claims_charged(floor, job_id) == [1]


async def test_a_cancelled_job_stops_within_a_segment(floor: Floor, song: bytes) -> None:
    # Segments so long that the notification is there before the next.
    worker = await floor.start(segment_s=LONG_SEGMENT_S, TRITON__WINDOW=WINDOW)
    job_id = await floor.jobs.submit(song)
    await floor.holder(job_id)
    account_id: UUID = (await floor.jobs.row(job_id))["account_id"]
    await JobRepository(floor.pool, max_live_jobs=10).cancel(account_id, job_id)
    begun = worker.begun()
    await worker.idle()
    # Those that the notification crossed on its way.
    assert worker.begun() - begun <= WINDOW
    assert await published_by(floor, job_id) == set()
    assert (await floor.jobs.row(job_id))["status"] == "cancelled"


async def test_a_job_cancelled_as_its_worker_dies_leaves_nothing(floor: Floor, song: bytes) -> None:
    worker = await floor.start()
    job_id = await floor.jobs.submit(song)
    await floor.holder(job_id)
    worker.send(signal.SIGSTOP)
    left = floor.root / "objects" / "results" / str(job_id) / "1" / "drums.wav"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"of a stem that was ready")
    account_id: UUID = (await floor.jobs.row(job_id))["account_id"]
    await JobRepository(floor.pool, max_live_jobs=10).cancel(account_id, job_id)
    worker.send(signal.SIGKILL)
    await floor.start()
    assert await published_by(floor, job_id) == set()


async def test_a_job_that_kills_three_workers_is_poison(floor: Floor, song: bytes) -> None:
    job_id = await floor.jobs.submit(song)
    for _ in range(3):
        await floor.start()
        holder = await floor.holder(job_id, progress=0.1)
        holder.send(signal.SIGKILL)
        await holder.ended(timeout_s=PATIENCE_S)
    await floor.start()

    async def has_failed() -> bool:
        return (await floor.jobs.row(job_id))["status"] == "failed"

    await until(has_failed, timeout_s=PATIENCE_S)
    row = await floor.jobs.row(job_id)
    assert row["error"]["code"] == "too_many_attempts"
    assert row["error"]["details"] == {"attempts": 3}
    assert await claims_charged(floor, job_id) == [1, 2, 3]
    assert await published_by(floor, job_id) == set()


async def test_a_worker_cut_off_from_the_database_lets_go_of_its_job(
    floor: Floor, link: Link, linked_dsn: str, song: bytes, calm: dict[str, str]
) -> None:
    cut_off = await floor.start(dsn=linked_dsn)
    job_id = await floor.jobs.submit(song)
    await floor.holder(job_id)
    link.close()
    await floor.start()
    assert await floor.succeeded(job_id) == calm
    await cut_off.idle()
    link.open()
    assert await published_by(floor, job_id) == {"2"}
    await works_again(floor, cut_off, song)


async def test_a_job_outlives_a_database_that_is_away_for_longer_than_the_lease(
    floor: Floor, link: Link, linked_dsn: str, song: bytes, calm: dict[str, str]
) -> None:
    worker = await floor.start(dsn=linked_dsn)
    job_id = await floor.jobs.submit(song)
    await floor.holder(job_id)
    link.close()
    await worker.idle()
    link.open()
    assert await floor.succeeded(job_id) == calm
    assert await claims_charged(floor, job_id) in ([1, 1], [1, 2])
    assert len(await published_by(floor, job_id)) == 1


async def test_a_worker_told_to_stop_while_the_database_is_away_stops(
    floor: Floor, link: Link, linked_dsn: str, song: bytes, calm: dict[str, str]
) -> None:
    worker = await floor.start(dsn=linked_dsn, segment_s=LONG_SEGMENT_S)
    job_id = await floor.jobs.submit(song)
    await floor.holder(job_id)
    link.close()
    worker.send(signal.SIGTERM)
    assert await worker.ended(timeout_s=GRACE_S + DATABASE_TIMEOUTS_S) == 0
    await floor.start()
    assert await floor.succeeded(job_id) == calm
    assert await published_by(floor, job_id) == {"2"}
