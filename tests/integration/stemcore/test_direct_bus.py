"""The outbox as a queue."""

import asyncio
from typing import TYPE_CHECKING

import pytest

from stemcore.bus.direct import DirectBus
from stemcore.database import outbox
from stemcore.database.notifications import Notifications
from stemcore.database.pool import DatabaseSettings
from stemcore.ids import new_id
from stemcore.messages import JobRequested, Undecodable

if TYPE_CHECKING:
    from stemcore.database.pool import Pool


def make_message() -> JobRequested:
    return JobRequested(event_id=new_id(), job_id=new_id(), kind="separation", account_id=new_id())


async def enqueue(pool: "Pool", topic: str, message: JobRequested) -> None:
    async with pool.acquire() as connection, connection.transaction():
        await outbox.enqueue(connection, topic=topic, key=str(message.job_id), message=message)


@pytest.fixture
def topic() -> str:
    """A topic of this test alone."""
    return f"test.{new_id()}"


@pytest.fixture
def bus(pool: "Pool", database_settings: DatabaseSettings, topic: str) -> DirectBus:
    return DirectBus(pool, Notifications(database_settings), topic=topic)


async def test_messages_come_in_order_until_they_are_acknowledged(
    bus: DirectBus, pool: "Pool", topic: str
) -> None:
    messages = [make_message() for _ in range(3)]
    for message in messages:
        await enqueue(pool, topic, message)
    async with asyncio.timeout(10):
        deliveries = bus.deliveries()
        first = [await anext(deliveries) for _ in messages]
        assert [delivery.message for delivery in first] == messages
        await first[0].acknowledge()
        assert (await anext(deliveries)).message == messages[1]


async def test_a_message_that_comes_later_is_seen(bus: DirectBus, pool: "Pool", topic: str) -> None:
    async with asyncio.timeout(10):
        waiting = asyncio.ensure_future(anext(bus.deliveries()))
        message = make_message()
        await enqueue(pool, topic, message)
        assert (await waiting).message == message


async def test_another_topic_is_another_queue(bus: DirectBus, pool: "Pool", topic: str) -> None:
    await enqueue(pool, f"{topic}.other", make_message())
    message = make_message()
    await enqueue(pool, topic, message)
    async with asyncio.timeout(10):
        assert (await anext(bus.deliveries())).message == message


async def test_what_is_not_understood_is_delivered_by_name(
    bus: DirectBus, pool: "Pool", topic: str
) -> None:
    await pool.execute("INSERT INTO outbox (topic, key, payload) VALUES ($1, '', '?')", topic)
    async with asyncio.timeout(10):
        assert isinstance((await anext(bus.deliveries())).message, Undecodable)


async def test_a_change_that_fails_leaves_no_message(pool: "Pool", topic: str) -> None:
    with pytest.raises(RuntimeError):
        async with pool.acquire() as connection, connection.transaction():
            await outbox.enqueue(connection, topic=topic, key="", message=make_message())
            raise RuntimeError
    assert await pool.fetchval("SELECT count(*) FROM outbox WHERE topic = $1", topic) == 0
