"""Reading from a real broker that comes and goes, in a group whose members do too."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from stemcore.bus.kafka.source import KafkaSource
from stemcore.messages import Undecodable
from stemyard.stack.waiting import until
from tests.integration.kafka_records import Channel
from tests.servers.kafka import running_kafka
from tests.stack.kcat import shell

if TYPE_CHECKING:
    from tests.servers.kafka import RunningKafka

WITHIN_S = 60.0


@dataclass(slots=True, kw_only=True)
class Member:
    """A reader of the group, and what it has seen so far."""

    source: KafkaSource
    payloads: list[str] = field(default_factory=list[str])
    partitions: int = 0

    async def read(self) -> None:
        async with aclosing(self.source.deliveries()) as deliveries:
            async for delivery in deliveries:
                self.payloads.append(delivery.arrival.payload)
                await delivery.acknowledge()


def member(channel: Channel) -> Member:
    def assigned(partitions: int) -> None:
        made.partitions = partitions

    settings = channel.settings(session_timeout_s=6)
    made = Member(
        source=KafkaSource(settings, channel.topics(), topic=channel.name, assigned=assigned)
    )
    return made


@asynccontextmanager
async def reading(reader: Member) -> AsyncGenerator[asyncio.Task[None]]:
    task = asyncio.create_task(reader.read())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def seen(count: int, *members: Member) -> None:
    async def enough() -> bool:
        return len({payload for reader in members for payload in reader.payloads}) >= count

    await until(enough, timeout_s=WITHIN_S)


async def share(partitions: list[int], *members: Member) -> None:
    async def so() -> bool:
        return [reader.partitions for reader in members] == partitions

    await until(so, timeout_s=WITHIN_S)


def numbered(start: int, stop: int) -> list[str]:
    return [f"p{number}" for number in range(start, stop)]


async def write(channel: Channel, start: int, stop: int) -> None:
    for number in range(start, stop):
        await channel.write(f"p{number}", partition=number % channel.partitions)


async def test_bytes_that_are_no_text_and_none_at_all_hold_nothing_up(
    kafka_server: "RunningKafka",
) -> None:
    channel = Channel(bootstrap=kafka_server.bootstrap)
    await channel.write("\x00", b"\xff\xfe{", None, "last")
    async with asyncio.timeout(WITHIN_S):
        async with aclosing(member(channel).source.deliveries()) as deliveries:
            arrivals = []
            for _ in range(4):
                delivery = await anext(deliveries)
                arrivals.append(delivery.arrival)
                await delivery.acknowledge()
    assert [arrival.payload for arrival in arrivals] == ["\x00", "\\xff\\xfe{", "", "last"]
    assert all(isinstance(arrival.message, Undecodable) for arrival in arrivals)
    assert [arrival.position.offset for arrival in arrivals if arrival.position] == [0, 1, 2, 3]


async def test_a_header_whose_name_is_no_text_holds_nothing_up(
    kafka_server: "RunningKafka",
) -> None:
    channel = Channel(bootstrap=kafka_server.bootstrap)
    await channel.write("first")
    await shell(
        f"printf second | kcat -P -b {kafka_server.bootstrap} -t {channel.name} -p 0"
        " -H $(printf '\\377\\376=x')"
    )
    await channel.write("third")
    reader = member(channel)
    async with reading(reader):
        await seen(3, reader)
    assert reader.payloads[0] == "first"
    assert "no UTF-8" in reader.payloads[1]
    assert reader.payloads[2] == "third"


@pytest.mark.parametrize("compression", ["gzip", "lz4", "snappy", "zstd"])
async def test_a_sender_may_compress_as_it_likes(
    kafka_server: "RunningKafka", compression: str
) -> None:
    channel = Channel(bootstrap=kafka_server.bootstrap)
    await channel.write("small", compression=compression)
    reader = member(channel)
    async with reading(reader):
        await seen(1, reader)
    assert reader.payloads == ["small"]


async def test_members_share_partitions_and_take_over_from_those_that_leave(
    kafka_server: "RunningKafka",
) -> None:
    channel = Channel(bootstrap=kafka_server.bootstrap, partitions=4)
    first, second = member(channel), member(channel)
    await write(channel, 0, 4)
    async with reading(first):
        await share([4], first)
        async with reading(second):
            await share([2, 2], first, second)
            await write(channel, 4, 12)
            await seen(12, first, second)
            assert first.payloads
            assert second.payloads
        await share([4, 0], first, second)
        await write(channel, 12, 16)
        await seen(16, first, second)
    counted = Counter(first.payloads + second.payloads)
    assert set(counted) == set(numbered(0, 16))


async def test_a_record_taken_before_a_rebalance_and_acknowledged_after_it_is_no_harm(
    kafka_server: "RunningKafka",
) -> None:
    channel = Channel(bootstrap=kafka_server.bootstrap, partitions=2)
    await write(channel, 0, 2)
    first, second = member(channel), member(channel)
    async with asyncio.timeout(WITHIN_S), aclosing(first.source.deliveries()) as deliveries:
        held = await anext(deliveries)
        async with reading(second):
            await share([1, 1], first, second)
            # The partition may belong to the other by now.
            await held.acknowledge()
            await write(channel, 2, 4)
            mine = asyncio.create_task(drain(deliveries, first))
            await seen(4, first, second)
            mine.cancel()
            await asyncio.gather(mine, return_exceptions=True)
    first.payloads.append(held.arrival.payload)
    assert set(first.payloads + second.payloads) == set(numbered(0, 4))


async def drain(deliveries: "AsyncGenerator[object]", reader: Member) -> None:
    async for delivery in deliveries:
        reader.payloads.append(delivery.arrival.payload)  # type: ignore[attr-defined]
        await delivery.acknowledge()  # type: ignore[attr-defined]


async def test_a_broker_that_is_away_at_first_and_again_later_is_read_when_it_is_back(
    tmp_path: Path,
) -> None:
    async with running_kafka(tmp_path) as server:
        channel = Channel(bootstrap=server.bootstrap)
        await channel.write("p0")
        await server.stop()
        reader = member(channel)
        async with reading(reader) as task:
            await server.start()
            await seen(1, reader)
            await server.stop()
            await server.start()
            await channel.write("p1")
            await seen(2, reader)
            assert not task.done()
        assert reader.payloads == ["p0", "p1"]


@pytest.mark.parametrize("stopped", [True, False], ids=["stopped", "frozen"])
async def test_leaving_takes_no_longer_than_it_may_while_the_broker_is_away(
    tmp_path: Path, *, stopped: bool
) -> None:
    async with running_kafka(tmp_path) as server:
        channel = Channel(bootstrap=server.bootstrap)
        await channel.write("p0")
        reader = member(channel)
        async with reading(reader) as task:
            await seen(1, reader)
            if stopped:
                await server.stop()
                await ended(task)
            else:
                with server.process.frozen():
                    await ended(task)


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    async with asyncio.timeout(WITHIN_S / 2):
        await asyncio.gather(task, return_exceptions=True)
