"""The only writer of status and events, against a real PostgreSQL."""

import asyncio
from itertools import product
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from stemcore.database import job_log
from stemcore.database.notifications import JOB_CHANGED, JOBS_QUEUED, Notifications
from stemcore.database.pool import DatabaseSettings
from stemcore.ids import new_id
from stemcore.jobs import TRANSITIONS, JobStatus
from stemcore.messages import JobEvent
from stemcore.topics import EVENTS_TOPIC

if TYPE_CHECKING:
    from stemcore.database.pool import Pool


async def insert_job(pool: "Pool", *, status: JobStatus = JobStatus.ACCEPTED) -> UUID:
    account_id, job_id = new_id(), new_id()
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(
            "INSERT INTO accounts (id, email, full_name, password_hash) VALUES ($1, $2, '', '')",
            account_id,
            str(account_id),
        )
        await connection.execute(
            """
            INSERT INTO jobs (id, account_id, kind, status, parameters, source_key, source_name,
                              source_bytes, source_sha256)
            VALUES ($1, $2, 'separation', $3, '{}', '', '', 0, '')
            """,
            job_id,
            account_id,
            status.value,
        )
        await job_log.append_accepted(
            connection, job_id, account_id=account_id, data={"source": "song.wav"}
        )
    return job_id


async def move(pool: "Pool", job_id: UUID, to: JobStatus, **options: Any) -> bool:
    async with pool.acquire() as connection, connection.transaction():
        return await job_log.transition(connection, job_id, to=to, **options)


async def events(pool: "Pool", job_id: UUID) -> list[tuple[int, str]]:
    rows = await pool.fetch(
        "SELECT seq, type FROM job_events WHERE job_id = $1 ORDER BY seq", job_id
    )
    return [(row["seq"], row["type"]) for row in rows]


async def status_of(pool: "Pool", job_id: UUID) -> str:
    return await pool.fetchval("SELECT status FROM jobs WHERE id = $1", job_id)


async def test_the_database_follows_the_table_of_transitions(pool: "Pool") -> None:
    for before, after in product(JobStatus, JobStatus):
        job_id = await insert_job(pool, status=before)
        allowed = after in TRANSITIONS[before]
        assert await move(pool, job_id, after) is allowed, (before, after)
        assert await status_of(pool, job_id) == (after if allowed else before)
        assert len(await events(pool, job_id)) == (2 if allowed else 1)


async def test_events_are_numbered_without_gaps(pool: "Pool") -> None:
    job_id = await insert_job(pool)
    await move(pool, job_id, JobStatus.QUEUED)
    await move(pool, job_id, JobStatus.RUNNING, columns={"lease_token": 1})
    assert not await move(pool, job_id, JobStatus.RUNNING)
    async with pool.acquire() as connection, connection.transaction():
        assert await job_log.append_progress(
            connection, job_id, lease_token=1, progress=0.5, stage="inference"
        )
    await move(pool, job_id, JobStatus.SUCCEEDED, data={"files": 4})
    assert await events(pool, job_id) == [
        (1, "job.accepted"),
        (2, "job.queued"),
        (3, "job.running"),
        (4, "job.progress"),
        (5, "job.succeeded"),
    ]
    data = await pool.fetchval("SELECT data FROM job_events WHERE job_id = $1 AND seq = 5", job_id)
    assert data == {"files": 4}


async def test_others_are_told_of_every_change_of_status_but_not_of_progress(pool: "Pool") -> None:
    job_id = await insert_job(pool)
    await move(pool, job_id, JobStatus.QUEUED)
    await move(pool, job_id, JobStatus.RUNNING, columns={"lease_token": 1})
    async with pool.acquire() as connection, connection.transaction():
        await job_log.append_progress(
            connection, job_id, lease_token=1, progress=0.5, stage="inference"
        )
    await move(pool, job_id, JobStatus.SUCCEEDED, lease_token=1, data={"stems": ["drums"]})
    told = await told_of(pool, job_id)
    assert [(event.seq, event.event.value) for event in told] == [
        (1, "job.accepted"),
        (2, "job.queued"),
        (3, "job.running"),
        (5, "job.succeeded"),
    ]
    row = await pool.fetchrow("SELECT * FROM jobs WHERE id = $1", job_id)
    logged = await pool.fetchrow("SELECT * FROM job_events WHERE job_id = $1 AND seq = 5", job_id)
    assert row is not None
    assert logged is not None
    last = told[-1]
    assert (last.account_id, last.at, last.data) == (
        row["account_id"],
        logged["at"],
        logged["data"],
    )
    assert len({event.event_id for event in told}) == len(told)


async def told_of(pool: "Pool", job_id: UUID) -> list[JobEvent]:
    rows = await pool.fetch(
        "SELECT payload FROM outbox WHERE topic = $1 AND key = $2 ORDER BY id",
        EVENTS_TOPIC,
        str(job_id),
    )
    return [JobEvent.model_validate_json(row["payload"]) for row in rows]


async def test_a_stale_token_changes_nothing(pool: "Pool") -> None:
    job_id = await insert_job(pool, status=JobStatus.QUEUED)
    await move(pool, job_id, JobStatus.RUNNING, columns={"lease_token": 2})
    async with pool.acquire() as connection, connection.transaction():
        assert not await job_log.append_progress(
            connection, job_id, lease_token=1, progress=0.9, stage="inference"
        )
    assert not await move(pool, job_id, JobStatus.SUCCEEDED, lease_token=1)
    assert await status_of(pool, job_id) == "running"
    assert await move(pool, job_id, JobStatus.SUCCEEDED, lease_token=2)


async def test_a_transaction_that_fails_takes_the_event_back(pool: "Pool") -> None:
    job_id = await insert_job(pool)
    with pytest.raises(RuntimeError):
        async with pool.acquire() as connection, connection.transaction():
            assert await job_log.transition(connection, job_id, to=JobStatus.QUEUED)
            raise RuntimeError
    assert await status_of(pool, job_id) == "accepted"
    assert await events(pool, job_id) == [(1, "job.accepted")]
    assert len(await told_of(pool, job_id)) == 1


async def test_one_of_two_that_move_a_job_at_once_wins(pool: "Pool") -> None:
    job_id = await insert_job(pool, status=JobStatus.RUNNING)
    moved = await asyncio.gather(
        *(move(pool, job_id, to) for to in (JobStatus.SUCCEEDED, JobStatus.FAILED))
    )
    assert sorted(moved) == [False, True]
    assert len(await events(pool, job_id)) == 2


async def test_columns_of_no_concern_are_refused(pool: "Pool") -> None:
    job_id = await insert_job(pool)
    with pytest.raises(ValueError, match="account_id"):
        await move(pool, job_id, JobStatus.QUEUED, columns={"account_id": new_id()})


async def test_waiters_are_woken_when_it_is_committed(
    pool: "Pool", database_settings: DatabaseSettings
) -> None:
    job_id = await insert_job(pool)
    notifications = Notifications(database_settings)
    listening = asyncio.create_task(notifications.run())
    with (
        notifications.subscription(JOB_CHANGED, str(job_id)) as changed,
        notifications.subscription(JOBS_QUEUED) as queued,
        notifications.subscription(JOB_CHANGED, str(new_id())) as unconcerned,
    ):
        async with asyncio.timeout(10):
            # Everybody is woken once when the connection is there.
            for event in (changed, queued, unconcerned):
                await event.wait()
                event.clear()
            await move(pool, job_id, JobStatus.QUEUED)
            await changed.wait()
            await queued.wait()
        assert not unconcerned.is_set()
    listening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listening
