"""What messages do to jobs, over a real database and every bus."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from orchestrator.dispatch import DispatchPath
from orchestrator.intake import Intake
from orchestrator.job_requests import JobRequests
from stemcore.bus.direct import DirectBus
from stemcore.bus.memory import MemoryBus
from stemcore.bus.port import MessageSource
from stemcore.database.notifications import Notifications
from stemcore.errors import ErrorCode, Unavailable
from stemcore.ids import new_id
from stemcore.jobs import JobStatus
from stemcore.messages import DeadLetter, JobEvent, KnownMessage, encode
from stemcore.topics import DEAD_LETTERS_TOPIC, EVENTS_TOPIC, JOBS_TOPIC
from stemyard.stack.waiting import until
from tests.integration.orchestrator.conftest import SETTLED_WITHIN_S, Jobs

if TYPE_CHECKING:
    from stemcore.database.pool import Pool

SONG = b"not decoded here"


@pytest.fixture
def dispatched() -> list[DispatchPath]:
    """By what jobs were queued."""
    return []


@pytest.fixture
def bus() -> MemoryBus:
    return MemoryBus(topic=JOBS_TOPIC)


def intake_of(pool: "Pool", source: MessageSource, dispatched: list[DispatchPath]) -> Intake:
    return Intake(
        pool, source, JobRequests(), path=DispatchPath.DIRECT, dispatched=dispatched.append
    )


@asynccontextmanager
async def running(intake: Intake) -> AsyncGenerator[None]:
    task = asyncio.create_task(intake.run())
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def direct(
    pool: "Pool", notifications: Notifications, dispatched: list[DispatchPath]
) -> "AsyncGenerator[None]":
    unread = (EVENTS_TOPIC, DEAD_LETTERS_TOPIC)
    bus = DirectBus(pool, notifications, topic=JOBS_TOPIC, unread=unread)
    async with running(intake_of(pool, bus, dispatched)):
        yield


async def take_all(intake: Intake, bus: MemoryBus, count: int) -> None:
    async with aclosing(bus.deliveries()) as deliveries:
        for _ in range(count):
            await intake.take(await anext(deliveries))


async def no_message_waits(pool: "Pool") -> None:
    async def is_empty() -> bool:
        return not await pool.fetchval("SELECT count(*) FROM outbox")

    await until(is_empty, timeout_s=SETTLED_WITHIN_S)


async def request_of(pool: "Pool", job_id: UUID) -> str:
    return await pool.fetchval(
        "SELECT payload FROM outbox WHERE topic = $1 AND key = $2", JOBS_TOPIC, str(job_id)
    )


async def letters(pool: "Pool") -> list[DeadLetter]:
    rows = await pool.fetch(
        "SELECT payload FROM outbox WHERE topic = $1 ORDER BY id", DEAD_LETTERS_TOPIC
    )
    assert await pool.fetchval("SELECT count(*) FROM dead_letters") == len(rows)
    return [DeadLetter.model_validate_json(row["payload"]) for row in rows]


@pytest.mark.usefixtures("direct")
async def test_an_accepted_job_is_queued_and_its_message_gone(
    pool: "Pool", jobs: Jobs, dispatched: list[DispatchPath]
) -> None:
    job_id = await jobs.submit(SONG, queued=False)
    row = await jobs.become(job_id, JobStatus.QUEUED)
    assert row["queued_at"] is not None
    assert await jobs.events(job_id) == ["job.accepted", "job.queued"]
    await no_message_waits(pool)
    assert dispatched == [DispatchPath.DIRECT]


@pytest.mark.usefixtures("direct")
async def test_a_job_cancelled_before_it_was_queued_stays_cancelled(
    pool: "Pool", jobs: Jobs, dispatched: list[DispatchPath]
) -> None:
    job_id = await jobs.submit(SONG, queued=True)
    await jobs.cancel(job_id)
    await no_message_waits(pool)
    assert (await jobs.row(job_id))["status"] == "cancelled"
    assert dispatched == []


async def test_messages_that_come_twice_and_in_any_order_have_one_effect_each(
    pool: "Pool", jobs: Jobs, bus: MemoryBus, dispatched: list[DispatchPath]
) -> None:
    ids = [await jobs.submit(SONG, queued=False) for _ in range(3)]
    payloads = [await request_of(pool, job_id) for job_id in ids]
    for payload in [*reversed(payloads), *payloads, payloads[1]]:
        await bus.publish(payload)
    await take_all(intake_of(pool, bus, dispatched), bus, 7)
    for job_id in ids:
        assert await jobs.events(job_id) == ["job.accepted", "job.queued"]
    assert len(dispatched) == 3
    assert await pool.fetchval("SELECT count(*) FROM inbox") == 3


async def test_a_message_of_a_job_that_has_ended_changes_nothing(
    pool: "Pool", jobs: Jobs, bus: MemoryBus, dispatched: list[DispatchPath]
) -> None:
    job_id = await jobs.submit(SONG, queued=False)
    await bus.publish(await request_of(pool, job_id))
    await jobs.cancel(job_id)
    await take_all(intake_of(pool, bus, dispatched), bus, 1)
    assert (await jobs.row(job_id))["status"] == "cancelled"
    assert dispatched == []


@pytest.mark.usefixtures("direct")
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


@pytest.mark.parametrize(
    "payload",
    ["\x00", '{"type": "\x00"}', "\ud800", "x" * 2_000_000, "[" * 100_000],
    ids=["null", "null in json", "surrogate", "huge", "deep"],
)
async def test_the_oddest_payload_is_buried_and_not_in_the_way(
    pool: "Pool", jobs: Jobs, bus: MemoryBus, dispatched: list[DispatchPath], payload: str
) -> None:
    job_id = await jobs.submit(SONG, queued=False)
    await bus.publish(payload, {"odd\x00": "\x00"})
    await bus.publish(await request_of(pool, job_id))
    await take_all(intake_of(pool, bus, dispatched), bus, 2)
    (letter,) = await letters(pool)
    assert letter.topic == JOBS_TOPIC
    assert letter.truncated == (len(payload) > 100_000)
    assert len(encode(letter)) < 1_000_000
    assert len(dispatched) == 1


async def test_a_message_of_another_kind_does_not_belong_here(
    pool: "Pool", bus: MemoryBus, dispatched: list[DispatchPath]
) -> None:
    event = JobEvent.model_validate(
        {
            "event_id": new_id(),
            "job_id": new_id(),
            "account_id": new_id(),
            "seq": 1,
            "at": "2026-11-21T12:00:00Z",
            "event": "job.accepted",
            "data": {},
        }
    )
    for _ in range(2):
        await bus.publish(encode(event))
    await take_all(intake_of(pool, bus, dispatched), bus, 2)
    (letter,) = await letters(pool)
    assert "does not belong" in letter.reason
    assert json.loads(letter.payload) == json.loads(encode(event))


async def test_what_cannot_be_settled_now_stays_and_comes_again(
    pool: "Pool", jobs: Jobs, bus: MemoryBus, dispatched: list[DispatchPath]
) -> None:
    class Hesitant(JobRequests):
        asked = 0

        async def effect_of(self, message: KnownMessage):  # noqa: ANN202
            self.asked += 1
            if self.asked == 1:
                raise Unavailable(ErrorCode.STORAGE_UNAVAILABLE, "Not now.")
            return await super().effect_of(message)

    job_id = await jobs.submit(SONG, queued=False)
    await bus.publish(await request_of(pool, job_id))
    intake = Intake(pool, bus, Hesitant(), path=DispatchPath.KAFKA, dispatched=dispatched.append)
    async with running(intake):
        await jobs.become(job_id, JobStatus.QUEUED)
    assert dispatched == [DispatchPath.KAFKA]
