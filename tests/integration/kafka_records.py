"""Records as other programs write and read them, with clients of their own."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from stemcore.bus.kafka.settings import KafkaSettings, TopicSettings
from stemcore.bus.kafka.topics import KafkaTopics
from stemcore.ids import new_id

READ_WITHIN_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A record as it was read."""

    partition: int
    offset: int
    key: str
    payload: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A topic of one test alone."""

    bootstrap: str
    name: str = field(default_factory=lambda: f"test.{new_id()}")
    partitions: int = 1

    def settings(self, **changes: Any) -> KafkaSettings:
        return settings_for(self.bootstrap, **changes)

    def topics(self, **changes: Any) -> KafkaTopics:
        return KafkaTopics(
            self.settings(**changes), {self.name: TopicSettings(partitions=self.partitions)}
        )

    async def write(
        self,
        *payloads: str | bytes | None,
        key: str = "k",
        headers: Mapping[str, str] | None = None,
        partition: int | None = None,
        compression: str | None = None,
    ) -> None:
        await self.topics().ensure()
        async with producer(self.bootstrap, compression=compression) as client:
            for payload in payloads:
                value = payload.encode() if isinstance(payload, str) else payload
                await client.send_and_wait(
                    self.name,
                    value,
                    key.encode(),
                    partition=partition,
                    headers=[(name, text.encode()) for name, text in (headers or {}).items()],
                )

    async def lag(self, group: str) -> int:
        """How many records a group of readers has not committed yet."""
        client = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap,
            group_id=f"{group}.{self.name}",
            enable_auto_commit=False,
        )
        partitions = [TopicPartition(self.name, number) for number in range(self.partitions)]
        client.assign(partitions)
        await client.start()
        try:
            ends = await client.end_offsets(partitions)
            return sum([end - (await client.committed(p) or 0) for p, end in ends.items()])
        finally:
            await client.stop()

    async def read(self, count: int) -> Sequence[Seen]:
        """The first `count` records of all partitions, in the order of each."""
        return await read_records(
            self.bootstrap, self.name, count=count, partitions=self.partitions
        )


def settings_for(bootstrap: str, **changes: Any) -> KafkaSettings:
    return KafkaSettings.model_validate(
        {"bootstrap_servers": bootstrap, "replication": 1, "reconnect_s": 0.2} | changes
    )


@asynccontextmanager
async def producer(bootstrap: str, *, compression: str | None) -> AsyncGenerator[AIOKafkaProducer]:
    client = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", compression_type=compression)
    await client.start()
    try:
        yield client
    finally:
        await client.stop()


async def read_records(
    bootstrap: str, topic: str, *, count: int, partitions: int = 1
) -> Sequence[Seen]:
    client = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    client.assign([TopicPartition(topic, number) for number in range(partitions)])
    await client.start()
    try:
        async with asyncio.timeout(READ_WITHIN_S):
            return [_seen(await client.getone()) for _ in range(count)]
    finally:
        await client.stop()


async def all_records(bootstrap: str, topic: str, *, partitions: int = 1) -> Sequence[Seen]:
    """What the topic, which exists, holds now, in the order of each partition."""
    client = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    all_partitions = [TopicPartition(topic, number) for number in range(partitions)]
    client.assign(all_partitions)
    await client.start()
    try:
        ends = await client.end_offsets(all_partitions)
        async with asyncio.timeout(READ_WITHIN_S):
            return [_seen(await client.getone()) for _ in range(sum(ends.values()))]
    finally:
        await client.stop()


async def product_records(settings: KafkaSettings, topic: str) -> Sequence[Seen]:
    """What one of the product's own topics holds now."""
    topics = settings.topics.by_name()
    await KafkaTopics(settings, topics).ensure()
    partitions = topics[topic].partitions
    return await all_records(settings.bootstrap_servers, topic, partitions=partitions)


def _seen(record: Any) -> Seen:
    return Seen(
        partition=record.partition,
        offset=record.offset,
        key=record.key.decode(),
        payload=record.value.decode(),
        headers={name: value.decode() for name, value in record.headers},
    )
