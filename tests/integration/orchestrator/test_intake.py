"""The direct bus and the intake, over a real outbox table."""

import asyncio
from typing import TYPE_CHECKING

import pytest

from orchestrator.intake import Intake
from stemcore.bus.direct import DirectBus
from stemcore.bus.memory import MemoryBus
from stemcore.database.notifications import Notifications
from stemcore.database.outbox import JOBS_TOPIC
from stemcore.jobs import JobStatus
from stemyard.stack.waiting import until
from tests.integration.orchestrator.conftest import SETTLED_WITHIN_S, Jobs

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from stemcore.database.pool import Pool

SONG = b"not decoded here"


@pytest.fixture
async def intake(pool: "Pool", notifications: Notifications) -> "AsyncGenerator[Intake]":
    intake = Intake(pool, DirectBus(pool, notifications, topic=JOBS_TOPIC), topic=JOBS_TOPIC)
    running = asyncio.create_task(intake.run())
    yield intake
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def no_message_waits(pool: "Pool") -> None:
    async def is_empty() -> bool:
        return not await pool.fetchval("SELECT count(*) FROM outbox")

    await until(is_empty, timeout_s=SETTLED_WITHIN_S)


@pytest.mark.usefixtures("intake")
async def test_an_accepted_job_is_queued_and_its_message_gone(pool: "Pool", jobs: Jobs) -> None:
    job_id = await jobs.submit(SONG, queued=False)
    row = await jobs.become(job_id, JobStatus.QUEUED)
    assert row["queued_at"] is not None
    assert await jobs.events(job_id) == ["job.accepted", "job.queued"]
    await no_message_waits(pool)


@pytest.mark.usefixtures("intake")
async def test_a_job_cancelled_before_it_was_queued_stays_cancelled(
    pool: "Pool", jobs: Jobs
) -> None:
    job_id = await jobs.submit(SONG, queued=True)
    await jobs.cancel(job_id)
    await no_message_waits(pool)
    assert (await jobs.row(job_id))["status"] == "cancelled"


async def test_a_message_that_comes_twice_has_one_effect(pool: "Pool", jobs: Jobs) -> None:
    job_id = await jobs.submit(SONG, queued=False)
    payload = await pool.fetchval("SELECT payload FROM outbox")
    bus = MemoryBus()
    intake = Intake(pool, bus, topic=JOBS_TOPIC)
    await bus.publish(payload)
    deliveries = bus.deliveries()
    first = await anext(deliveries)
    await intake.take(first)
    await bus.publish(payload)
    await intake.take(await anext(deliveries))
    assert await jobs.events(job_id) == ["job.accepted", "job.queued"]
    assert await pool.fetchval("SELECT count(*) FROM inbox") == 1


@pytest.mark.usefixtures("intake")
async def test_what_nobody_understands_is_kept_with_its_reason(pool: "Pool", jobs: Jobs) -> None:
    await pool.execute(
        "INSERT INTO outbox (topic, key, payload) VALUES ($1, 'k', $2)",
        JOBS_TOPIC,
        '{"type": "job_requested", "version": 99}',
    )
    await no_message_waits(pool)
    letter = await pool.fetchrow("SELECT * FROM dead_letters")
    assert letter is not None
    assert letter["topic"] == JOBS_TOPIC
    assert "version" in letter["reason"]
    job_id = await jobs.submit(SONG, queued=False)
    await jobs.become(job_id, JobStatus.QUEUED)
