"""The outbox as a queue, beside what every bus keeps to (tests/contract)."""

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest

from stemcore.bus.direct import DirectBus
from stemcore.database import outbox
from stemcore.database.notifications import Notifications
from stemcore.database.pool import DatabaseSettings
from stemcore.ids import new_id
from stemcore.messages import JobRequested

if TYPE_CHECKING:
    from stemcore.database.pool import Pool


def make_message() -> JobRequested:
    return JobRequested(event_id=new_id(), job_id=new_id(), kind="separation", account_id=new_id())


async def enqueue(pool: "Pool", topic: str, message: JobRequested) -> None:
    async with pool.acquire() as connection, connection.transaction():
        await outbox.enqueue(connection, topic=topic, key=str(message.job_id), message=message)


async def first_of(bus: DirectBus) -> JobRequested:
    async with asyncio.timeout(10), aclosing(bus.deliveries()) as deliveries:
        message = (await anext(deliveries)).arrival.message
    assert isinstance(message, JobRequested)
    return message


@pytest.fixture
def topic() -> str:
    """A topic of this test alone."""
    return f"test.{new_id()}"


@pytest.fixture
def notifications(database_settings: DatabaseSettings) -> Notifications:
    return Notifications(database_settings)


async def test_another_topic_is_another_queue(
    pool: "Pool", notifications: Notifications, topic: str
) -> None:
    await enqueue(pool, f"{topic}.other", make_message())
    message = make_message()
    await enqueue(pool, topic, message)
    assert await first_of(DirectBus(pool, notifications, topic=topic)) == message


async def test_what_is_for_a_broker_that_is_not_there_is_dropped(
    pool: "Pool", notifications: Notifications, topic: str
) -> None:
    for name in (f"{topic}.events", f"{topic}.other", topic):
        await enqueue(pool, name, make_message())
    bus = DirectBus(pool, notifications, topic=topic, unread=(f"{topic}.events",))
    await first_of(bus)
    left = await pool.fetch("SELECT topic FROM outbox WHERE topic LIKE $1 || '%'", topic)
    assert {row["topic"] for row in left} == {f"{topic}.other", topic}


async def test_a_change_that_fails_leaves_no_message(pool: "Pool", topic: str) -> None:
    with pytest.raises(RuntimeError):
        async with pool.acquire() as connection, connection.transaction():
            await outbox.enqueue(connection, topic=topic, key="", message=make_message())
            raise RuntimeError
    assert await pool.fetchval("SELECT count(*) FROM outbox WHERE topic = $1", topic) == 0
