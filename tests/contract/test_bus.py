"""What every bus keeps to."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from stemcore.bus.direct import DirectBus
from stemcore.bus.kafka.source import KafkaSource
from stemcore.bus.memory import MemoryBus
from stemcore.bus.port import Delivery, MessageSource
from stemcore.database.notifications import Notifications
from stemcore.database.pool import DatabaseSettings
from stemcore.ids import new_id
from stemcore.messages import JobRequested, Undecodable, encode
from tests.integration.kafka_records import Channel

if TYPE_CHECKING:
    from stemcore.database.pool import Pool
    from tests.servers.kafka import RunningKafka

WITHIN_S = 60.0

Publish = Callable[[str, Mapping[str, str]], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bus:
    """A queue of this test alone, empty when it begins."""

    topic: str
    source: MessageSource
    publish: Publish

    async def send(self, *payloads: str) -> None:
        for payload in payloads:
            await self.publish(payload, {})

    async def taken(self, count: int, *, acknowledged: bool = True) -> Sequence[Delivery]:
        """The next `count` deliveries to a reader that comes and goes."""
        taken: list[Delivery] = []
        async with asyncio.timeout(WITHIN_S), aclosing(self.source.deliveries()) as deliveries:
            async for delivery in deliveries:
                if acknowledged:
                    await delivery.acknowledge()
                taken.append(delivery)
                if len(taken) == count:
                    break
        return taken


def make_message() -> JobRequested:
    return JobRequested(event_id=new_id(), job_id=new_id(), kind="separation", account_id=new_id())


def payloads_of(deliveries: Sequence[Delivery]) -> list[str]:
    return [delivery.arrival.payload for delivery in deliveries]


def memory_bus() -> Bus:
    bus = MemoryBus(topic="memory")
    return Bus(topic="memory", source=bus, publish=bus.publish)


def direct_bus(pool: "Pool", settings: DatabaseSettings) -> Bus:
    topic = f"test.{new_id()}"

    async def publish(payload: str, headers: Mapping[str, str]) -> None:
        await pool.execute(
            "INSERT INTO outbox (topic, key, payload, headers) VALUES ($1, '', $2, $3)",
            topic,
            payload,
            dict(headers),
        )

    source = DirectBus(pool, Notifications(settings), topic=topic)
    return Bus(topic=topic, source=source, publish=publish)


def kafka_bus(server: "RunningKafka") -> Bus:
    channel = Channel(bootstrap=server.bootstrap)

    async def publish(payload: str, headers: Mapping[str, str]) -> None:
        await channel.write(payload, headers=headers)

    source = KafkaSource(channel.settings(), channel.topics(), topic=channel.name)
    return Bus(topic=channel.name, source=source, publish=publish)


@pytest.fixture(params=["memory", "direct", "kafka"])
def bus(request: pytest.FixtureRequest) -> Bus:
    match request.param:
        case "direct":
            return direct_bus(
                request.getfixturevalue("pool"), request.getfixturevalue("database_settings")
            )
        case "kafka":
            return kafka_bus(request.getfixturevalue("kafka_server"))
        case _:
            return memory_bus()


async def test_a_message_arrives_as_it_was_sent(bus: Bus) -> None:
    message = make_message()
    headers = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    await bus.publish(encode(message), headers)
    (delivery,) = await bus.taken(1)
    assert delivery.arrival.message == message
    assert delivery.arrival.headers == headers
    assert delivery.arrival.topic == bus.topic


async def test_messages_arrive_in_the_order_of_their_sending(bus: Bus) -> None:
    payloads = [encode(make_message()) for _ in range(5)]
    await bus.send(*payloads)
    assert payloads_of(await bus.taken(5)) == payloads


async def test_what_was_acknowledged_never_arrives_again(bus: Bus) -> None:
    payloads = [encode(make_message()) for _ in range(3)]
    await bus.send(*payloads)
    await bus.taken(2)
    assert payloads_of(await bus.taken(1)) == payloads[2:]


async def test_what_was_not_acknowledged_arrives_again_to_the_same_reader(bus: Bus) -> None:
    (payload,) = payloads = [encode(make_message())]
    await bus.send(*payloads)
    first, again = await bus.taken(2, acknowledged=False)
    assert payloads_of([first, again]) == [payload, payload]


async def test_what_was_not_acknowledged_arrives_again_to_the_next_reader(bus: Bus) -> None:
    payloads = [encode(make_message()) for _ in range(2)]
    await bus.send(*payloads)
    await bus.taken(1, acknowledged=False)
    assert payloads_of(await bus.taken(2)) == payloads


async def test_a_message_that_comes_later_is_seen(bus: Bus) -> None:
    waiting = asyncio.create_task(bus.taken(1))
    payload = encode(make_message())
    await bus.send(payload)
    assert payloads_of(await waiting) == [payload]


@pytest.mark.parametrize("odd", ["", "?", "[]", '{"type": "job_requested", "version": 99}'])
async def test_what_is_not_understood_is_named_so_and_holds_nothing_up(bus: Bus, odd: str) -> None:
    message = make_message()
    await bus.send(odd, encode(message))
    first, second = await bus.taken(2)
    assert isinstance(first.arrival.message, Undecodable)
    assert first.arrival.payload == odd
    assert second.arrival.message == message


async def test_acknowledging_twice_is_one_acknowledgement(bus: Bus) -> None:
    payloads = [encode(make_message()) for _ in range(2)]
    await bus.send(*payloads)
    async with asyncio.timeout(WITHIN_S), aclosing(bus.source.deliveries()) as deliveries:
        delivery = await anext(deliveries)
        await delivery.acknowledge()
        await delivery.acknowledge()
        assert (await anext(deliveries)).arrival.payload == payloads[1]
