"""Publishing to Kafka: durable on all replicas in sync, in order, and never waiting for ever."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, MessageSizeTooLargeError

from stemcore.bus.kafka.closing import within
from stemcore.bus.kafka.errors import kafka_errors
from stemcore.bus.kafka.settings import KafkaSettings
from stemcore.bus.kafka.topics import KafkaTopics
from stemcore.bus.port import Record


class KafkaPublisher:
    """A Publisher over an idempotent producer. One that has failed is never used again.

    Not for several tasks at once.
    """

    def __init__(self, settings: KafkaSettings, topics: KafkaTopics) -> None:
        self._settings = settings
        self._topics = topics
        self._producer: Any = None

    async def connect(self) -> None:
        """Have a producer."""
        if self._producer is not None:
            return
        await self._topics.ensure()
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self._settings.bootstrap_servers,
            acks="all",
            enable_idempotence=True,
            **self._settings.connection_options(),
        )
        async with self._discarded_on_failure():
            await self._producer.start()

    async def publish(self, records: Sequence[Record]) -> Sequence[Record]:
        """Publish in this order; returns those that are too large."""
        await self.connect()
        async with self._discarded_on_failure():
            outcomes = [await self._send(record) for record in records]
            errors = await asyncio.gather(*map(_error_of, outcomes))
            for error in errors:
                if error is not None and not isinstance(error, MessageSizeTooLargeError):
                    raise error
        return [record for record, error in zip(records, errors, strict=True) if error is not None]

    async def close(self) -> None:
        """Give the connections back."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        limit = self._settings.stop_timeout_s / 2
        # Private, because stop() waits until everything is delivered: what was given up would be
        # delivered by an old producer while a new one sends it again, or for ever be tried.
        await within(limit, producer._sender.close(), what="sender")
        producer._message_accumulator.fail_all(KafkaConnectionError("given up"))
        await within(limit, producer.stop(), what="producer")

    async def _send(self, record: Record) -> "asyncio.Future[Any] | MessageSizeTooLargeError":
        try:
            return await self._producer.send(
                record.topic,
                record.payload.encode(),
                record.key.encode(),
                headers=[(name, value.encode()) for name, value in record.headers.items()],
            )
        except MessageSizeTooLargeError as error:
            return error

    @asynccontextmanager
    async def _discarded_on_failure(self) -> AsyncGenerator[None]:
        try:
            with kafka_errors():
                async with asyncio.timeout(self._settings.publish_timeout_s):
                    yield
        except BaseException:
            await self.close()
            raise


async def _error_of(
    outcome: "asyncio.Future[Any] | MessageSizeTooLargeError",
) -> Exception | None:
    if isinstance(outcome, MessageSizeTooLargeError):
        return outcome
    try:
        await outcome
    except Exception as error:  # noqa: BLE001  # looked at by the caller, all of them together
        return error
    return None


@asynccontextmanager
async def open_publisher(
    settings: KafkaSettings, topics: KafkaTopics
) -> AsyncGenerator[KafkaPublisher]:
    """A publisher that connects on demand, so that a service starts while Kafka is away."""
    publisher = KafkaPublisher(settings, topics)
    try:
        yield publisher
    finally:
        await publisher.close()
