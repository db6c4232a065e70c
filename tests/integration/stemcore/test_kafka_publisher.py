"""Publishing to a real broker that comes, goes, freezes and refuses."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from stemcore.bus.errors import BusAway
from stemcore.bus.kafka.publisher import KafkaPublisher, open_publisher
from stemcore.bus.port import Record
from tests.integration.kafka_records import Channel
from tests.servers.kafka import running_kafka

if TYPE_CHECKING:
    from tests.servers.kafka import RunningKafka

WITHIN_S = 60.0


def records(channel: Channel, *payloads: str, key: str = "k") -> list[Record]:
    return [Record(topic=channel.name, key=key, payload=payload) for payload in payloads]


async def test_records_of_a_key_keep_their_order_and_their_headers(
    kafka_server: "RunningKafka",
) -> None:
    channel = Channel(bootstrap=kafka_server.bootstrap, partitions=3)
    sent = [
        Record(topic=channel.name, key=f"k{n % 5}", payload=f"p{n}", headers={"n": str(n)})
        for n in range(200)
    ]
    async with open_publisher(channel.settings(), channel.topics()) as publisher:
        for start in range(0, 200, 50):
            assert await publisher.publish(sent[start : start + 50]) == []
    seen = await channel.read(200)
    for key in {record.key for record in sent}:
        of_key = [record for record in seen if record.key == key]
        assert [record.payload for record in of_key] == [r.payload for r in sent if r.key == key]
        assert len({record.partition for record in of_key}) == 1
    assert all(record.headers == {"n": record.payload[1:]} for record in seen)


async def test_what_is_too_large_is_named_and_the_others_are_published(
    kafka_server: "RunningKafka",
) -> None:
    channel = Channel(bootstrap=kafka_server.bootstrap)
    large = records(channel, "x" * 2_000_000)
    async with open_publisher(channel.settings(), channel.topics()) as publisher:
        refused = await publisher.publish([*records(channel, "a"), *large, *records(channel, "b")])
        assert refused == large
        assert await publisher.publish(records(channel, "c")) == []
    assert [record.payload for record in await channel.read(3)] == ["a", "b", "c"]


async def test_a_broker_away_at_first_is_published_to_when_it_comes(tmp_path: Path) -> None:
    async with running_kafka(tmp_path) as server:
        channel = Channel(bootstrap=server.bootstrap)
        async with open_publisher(channel.settings(), channel.topics()) as publisher:
            await server.stop()
            with pytest.raises(BusAway):
                await publisher.publish(records(channel, "lost?"))
            await server.start()
            await published(publisher, records(channel, "a"))

            await server.stop()
            with pytest.raises(BusAway):
                await publisher.publish(records(channel, "b"))
            await server.start()
            await published(publisher, records(channel, "b"))
        seen = [record.payload for record in await channel.read(2)]
        assert seen == ["a", "b"]


async def test_a_frozen_broker_holds_nobody_up_for_ever(tmp_path: Path) -> None:
    async with running_kafka(tmp_path) as server:
        channel = Channel(bootstrap=server.bootstrap)
        settings = channel.settings(
            request_timeout_s=1, publish_timeout_s=2, stop_timeout_s=1, reconnect_s=0.2
        )
        async with open_publisher(settings, channel.topics()) as publisher:
            await publisher.publish(records(channel, "a"))
            with server.process.frozen():
                async with asyncio.timeout(WITHIN_S):
                    with pytest.raises(BusAway):
                        await publisher.publish(records(channel, "b"))
            # What was given up may have arrived, and whoever gave it up sends it again.
            await published(publisher, records(channel, "b", "c"))
        payloads = [record.payload for record in await channel.read(3)]
        assert payloads[0] == "a"
        assert set(payloads[1:]) <= {"b", "c"}


async def test_a_cancelled_publication_leaves_a_usable_publisher(
    kafka_server: "RunningKafka",
) -> None:
    channel = Channel(bootstrap=kafka_server.bootstrap)
    async with open_publisher(channel.settings(), channel.topics()) as publisher:
        task = asyncio.create_task(publisher.publish(records(channel, "a")))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert await publisher.publish(records(channel, "b")) == []
    assert "b" in [record.payload for record in await channel.read(1)]


async def published(publisher: KafkaPublisher, wanted: list[Record]) -> None:
    """Sent again and again, as the relay does."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            try:
                assert await publisher.publish(wanted) == []
            except BusAway:
                await asyncio.sleep(0.2)
            else:
                return
