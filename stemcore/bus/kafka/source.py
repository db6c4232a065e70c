"""Reading from Kafka: offsets are committed after the effect, and never hold anything up."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import IllegalStateError, KafkaError

from stemcore.bus.errors import BusAway, BusRefused
from stemcore.bus.kafka.closing import within
from stemcore.bus.kafka.errors import kafka_errors
from stemcore.bus.kafka.settings import KafkaSettings
from stemcore.bus.kafka.topics import KafkaTopics
from stemcore.bus.port import Arrival, Position

Assigned = Callable[[int], None]

_log = structlog.get_logger(__name__)


def _unheard(_partitions: int) -> None:
    """Nobody wants to know."""


@dataclass(slots=True, kw_only=True)
class KafkaDelivery:
    """One record."""

    consumer: Any
    arrival: Arrival
    partition: TopicPartition
    offset: int
    commit_timeout_s: float
    acknowledged: bool = field(default=False, init=False)

    async def acknowledge(self) -> None:
        """Commit the offset, if the partition is still ours and the broker there.

        If not, the record comes again, to us or to another member: its effect is known by then.
        """
        self.acknowledged = True
        try:
            async with asyncio.timeout(self.commit_timeout_s):
                await self.consumer.commit({self.partition: self.offset + 1})
        except (KafkaError, OSError, TimeoutError) as error:
            _log.info(
                "offset_not_committed",
                topic=self.arrival.topic,
                partition=self.partition.partition,
                offset=self.offset,
                reason=repr(error),
            )

    def give_back(self) -> None:
        """Have the record delivered again."""
        with suppress(IllegalStateError):
            self.consumer.seek(self.partition, self.offset)


class _Assignment(ConsumerRebalanceListener):
    """Tells how many partitions are ours."""

    def __init__(self, assigned: Assigned) -> None:
        self._assigned = assigned

    def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:  # noqa: ARG002
        self._assigned(0)

    def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        self._assigned(len(assigned))


class KafkaSource:
    """A MessageSource over one topic, as a member of a group of its readers.

    `assigned` hears how many partitions are this member's, whenever that changes.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        topics: KafkaTopics,
        *,
        topic: str,
        assigned: Assigned = _unheard,
    ) -> None:
        self._settings = settings
        self._topics = topics
        self._topic = topic
        self._assigned = assigned

    async def deliveries(self) -> AsyncGenerator[KafkaDelivery]:
        """Records of our partitions, in order within each."""
        while True:
            try:
                async with self._consumer() as consumer, aclosing(self._read(consumer)) as records:
                    async for delivery in records:
                        yield delivery
            except BusAway as error:
                _log.warning("kafka_away", topic=self._topic, reason=error.message)
            except BusRefused as error:
                _log.error("kafka_refused", topic=self._topic, reason=error.message)
            await asyncio.sleep(self._settings.reconnect_s)

    @asynccontextmanager
    async def _consumer(self) -> AsyncGenerator[Any]:
        await self._topics.ensure()
        settings = self._settings
        consumer: Any = AIOKafkaConsumer(
            bootstrap_servers=settings.bootstrap_servers,
            group_id=f"{settings.consumer_group}.{self._topic}",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=round(settings.session_timeout_s * 1000),
            # A member hears at a heartbeat that others wait for it to join again.
            heartbeat_interval_ms=round(settings.session_timeout_s * 1000 / 10),
            **settings.connection_options(),
        )
        consumer.subscribe([self._topic], listener=_Assignment(self._assigned))
        try:
            with kafka_errors():
                async with asyncio.timeout(settings.start_timeout_s):
                    await consumer.start()
            yield consumer
        finally:
            self._assigned(0)
            if not await within(settings.stop_timeout_s, consumer.stop(), what="consumer"):
                await within(settings.stop_timeout_s, consumer._client.close(), what="client")

    async def _read(self, consumer: Any) -> AsyncGenerator[KafkaDelivery]:
        while True:
            try:
                with kafka_errors():
                    record: ConsumerRecord[bytes, bytes] = await consumer.getone()
                delivery = self._delivery(consumer, record)
            except UnicodeDecodeError as error:
                delivery = await self._unreadable(consumer, error)
            yield delivery
            if not delivery.acknowledged:
                delivery.give_back()

    async def _unreadable(self, consumer: Any, error: UnicodeDecodeError) -> KafkaDelivery:
        """In place of a record with a header whose name is no UTF-8, and of those that its sender
        batched behind it: aiokafka cannot tell them apart, and would never get beyond them."""
        # Private: nothing else tells at which of the partitions it has stopped.
        partition: TopicPartition = next(iter(consumer._fetcher._records))
        with kafka_errors():
            offset: int = await consumer.position(partition)
            consumer.seek(partition, offset + 1)
        return KafkaDelivery(
            consumer=consumer,
            arrival=Arrival(
                topic=partition.topic,
                payload=f"unreadable: a header's name is no UTF-8: {error.object!r}",
                position=Position(partition=partition.partition, offset=offset),
            ),
            partition=partition,
            offset=offset,
            commit_timeout_s=self._settings.request_timeout_s,
        )

    def _delivery(self, consumer: Any, record: "ConsumerRecord[bytes, bytes]") -> KafkaDelivery:
        return KafkaDelivery(
            consumer=consumer,
            arrival=Arrival(
                topic=record.topic,
                payload=_text(record.value),
                headers={name: _text(value) for name, value in record.headers},
                position=Position(partition=record.partition, offset=record.offset),
            ),
            partition=TopicPartition(record.topic, record.partition),
            offset=record.offset,
            commit_timeout_s=self._settings.request_timeout_s,
        )


def _text(value: bytes | None) -> str:
    """What is no UTF-8 stays visible, and no JSON."""
    return (value or b"").decode("utf-8", "backslashreplace")
