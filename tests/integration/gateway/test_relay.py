"""The outbox relay, between a real database and a real broker."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.composition import Replacements
from gateway.relay import Relay
from gateway.settings import GatewaySettings
from stemcore.bus.kafka.publisher import open_publisher
from stemcore.bus.kafka.settings import KafkaSettings
from stemcore.bus.port import Publisher, Record
from stemcore.database.notifications import Notifications
from stemcore.messages import JobEvent, decode
from stemcore.topics import EVENTS_TOPIC, JOBS_TOPIC
from stemyard.stack.waiting import until
from tests.integration.gateway.conftest import running_gateway, signed_in
from tests.integration.kafka_records import Channel, product_records, settings_for
from tests.servers.kafka import running_kafka

if TYPE_CHECKING:
    from stemcore.database.pool import Pool
    from tests.integration.gateway.conftest import Caller
    from tests.servers.kafka import RunningKafka

WITHIN_S = 60.0
FROZEN_AFTER_S = 5.0
GOLDEN = Path(__file__).parents[2] / "contract" / "golden"


async def write(pool: "Pool", channel: Channel, *payloads: str, key: str = "k") -> None:
    for payload in payloads:
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute(
                "INSERT INTO outbox (topic, key, payload, headers) VALUES ($1, $2, $3, $4)",
                channel.name,
                key,
                payload,
                {"traceparent": f"of {payload[:10]}"},
            )
            await connection.execute("SELECT pg_notify('outbox', '')")


async def relayed(pool: "Pool", channel: Channel) -> None:
    """Nothing waits any more."""

    async def nothing_waits() -> bool:
        return not await pool.fetchval("SELECT count(*) FROM outbox WHERE topic = $1", channel.name)

    await until(nothing_waits, timeout_s=WITHIN_S)


@asynccontextmanager
async def relaying(
    settings: GatewaySettings, channel: Channel, *, publisher: Publisher | None = None
) -> AsyncGenerator[asyncio.Task[None]]:
    notifications = Notifications(settings.database)
    async with open_publisher(channel.settings(), channel.topics()) as kafka:
        relay = Relay(
            settings.database,
            notifications,
            publisher or kafka,
            topics=(channel.name,),
            frozen_after_s=FROZEN_AFTER_S,
        )
        tasks = [asyncio.create_task(work) for work in (relay.run(), notifications.run())]
        try:
            yield tasks[0]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def test_samples_of_the_contract_travel_unchanged_with_their_headers(
    pool: "Pool", settings: GatewaySettings, kafka_server: "RunningKafka"
) -> None:
    channel = Channel(bootstrap=kafka_server.bootstrap)
    samples = [sample.read_text() for sample in sorted(GOLDEN.glob("*.json"))]
    await write(pool, channel, *samples)
    async with relaying(settings, channel):
        await relayed(pool, channel)
    seen = await channel.read(len(samples))
    assert [record.payload for record in seen] == samples
    assert [record.headers["traceparent"] for record in seen] == [
        f"of {sample[:10]}" for sample in samples
    ]
    assert {record.key for record in seen} == {"k"}


async def test_a_row_written_while_the_relay_waits_is_hinted_at(
    pool: "Pool", settings: GatewaySettings, kafka_server: "RunningKafka"
) -> None:
    channel = Channel(bootstrap=kafka_server.bootstrap)
    async with relaying(settings, channel):
        for number in range(5):
            await write(pool, channel, f"p{number}")
            await relayed(pool, channel)
    assert [record.payload for record in await channel.read(5)] == [f"p{n}" for n in range(5)]


async def test_two_gateways_take_turns_and_nothing_is_published_twice(
    pool: "Pool", settings: GatewaySettings, kafka_server: "RunningKafka"
) -> None:
    channel = Channel(bootstrap=kafka_server.bootstrap, partitions=3)
    async with relaying(settings, channel), relaying(settings, channel):
        for number in range(60):
            await write(pool, channel, f"p{number}", key=f"k{number % 4}")
        await relayed(pool, channel)
    seen = await channel.read(60)
    for key in {record.key for record in seen}:
        numbers = [int(record.payload[1:]) for record in seen if record.key == key]
        assert numbers == sorted(set(numbers))


async def test_what_is_too_large_becomes_a_dead_letter_and_holds_nothing_up(
    pool: "Pool", settings: GatewaySettings, kafka_server: "RunningKafka"
) -> None:
    channel = Channel(bootstrap=kafka_server.bootstrap)
    await write(pool, channel, "a", "x" * 2_000_000, "b")
    async with relaying(settings, channel):
        await relayed(pool, channel)
    assert [record.payload for record in await channel.read(2)] == ["a", "b"]
    letters = await pool.fetch("SELECT * FROM dead_letters WHERE topic = $1", channel.name)
    assert [len(letter["payload"]) for letter in letters] == [2_000_000]


async def test_rows_of_topics_nobody_asked_for_stay(
    pool: "Pool", settings: GatewaySettings, kafka_server: "RunningKafka"
) -> None:
    channel = Channel(bootstrap=kafka_server.bootstrap)
    other = Channel(bootstrap=kafka_server.bootstrap)
    await write(pool, other, "not here")
    await write(pool, channel, "here")
    async with relaying(settings, channel):
        await relayed(pool, channel)
    assert await pool.fetchval("SELECT count(*) FROM outbox WHERE topic = $1", other.name) == 1


class Freezing:
    """A publisher in a process that freezes, and thaws when it is told to."""

    def __init__(self) -> None:
        self.thawed = asyncio.Event()

    async def connect(self) -> None:
        pass

    async def publish(self, records: Sequence[Record]) -> Sequence[Record]:  # noqa: ARG002
        await self.thawed.wait()
        return []


async def test_a_gateway_that_freezes_loses_its_turn_and_deletes_nothing_when_it_thaws(
    pool: "Pool", settings: GatewaySettings, kafka_server: "RunningKafka"
) -> None:
    channel = Channel(bootstrap=kafka_server.bootstrap)
    freezing = Freezing()
    await write(pool, channel, "a", "b")
    async with relaying(settings, channel, publisher=freezing) as frozen:
        async with relaying(settings, channel):
            await relayed(pool, channel)
        await write(pool, channel, "c")
        freezing.thawed.set()
        # The one that thaws goes on; as its publisher lies, what it takes now is lost.
        await relayed(pool, channel)
        assert not frozen.done()
    assert [record.payload for record in await channel.read(2)] == ["a", "b"]


async def test_a_gateway_accepts_while_the_broker_is_away_and_all_flows_when_it_is_back(
    settings: GatewaySettings, replacements: Replacements, caller: "Caller", tmp_path: Path
) -> None:
    async with running_kafka(tmp_path) as server:
        await server.stop()
        kafka = settings_for(server.bootstrap)
        with_kafka = settings.model_copy(update={"kafka": kafka})
        async with running_gateway(with_kafka, instead=replacements) as gateway:
            async with signed_in(gateway, caller.account_id) as signed:
                accepted = [(await signed.submitted())["id"] for _ in range(3)]
                await server.start()
                await told_of(kafka, accepted)
                await server.stop()
                accepted = [(await signed.submitted())["id"] for _ in range(3)]
                await server.start()
                await told_of(kafka, accepted)


async def told_of(kafka: KafkaSettings, job_ids: Sequence[str]) -> None:
    """The broker has been asked for each job, and told that it was accepted."""

    async def all_are_there() -> bool:
        requested = {record.key for record in await product_records(kafka, JOBS_TOPIC)}
        events = [decode(record.payload) for record in await product_records(kafka, EVENTS_TOPIC)]
        accepted = {str(event.job_id) for event in events if isinstance(event, JobEvent)}
        return set(job_ids) <= requested & accepted

    await until(all_are_there, timeout_s=WITHIN_S)
