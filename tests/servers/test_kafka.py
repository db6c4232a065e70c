"""The broker that other tests lean on: reached, away, frozen, secured."""

import asyncio
import ssl
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaConnectionError

from tests.servers.kafka import RunningKafka, RunningSecureKafka, running_kafka

LIMIT_S = 30.0


async def make_topic(bootstrap: str, name: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, num_partitions=1, replication_factor=1)])
    finally:
        await admin.close()


async def publish(bootstrap: str, topic: str, value: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all")
    await producer.start()
    try:
        await asyncio.wait_for(producer.send_and_wait(topic, value), LIMIT_S)
    finally:
        await producer.stop()


async def first(bootstrap: str, topic: str) -> bytes:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        record = await asyncio.wait_for(consumer.getone(), LIMIT_S)
    finally:
        await consumer.stop()
    assert record.value is not None
    return record.value


async def test_records_come_back(kafka_server: RunningKafka) -> None:
    await make_topic(kafka_server.bootstrap, "servers.test")
    await publish(kafka_server.bootstrap, "servers.test", b"here")
    assert await first(kafka_server.bootstrap, "servers.test") == b"here"


async def test_records_outlive_an_outage(tmp_path: Path) -> None:
    async with running_kafka(tmp_path / "kafka") as kafka:
        await make_topic(kafka.bootstrap, "kept")
        await publish(kafka.bootstrap, "kept", b"before")
        await kafka.stop()
        assert not await kafka.broker.is_ready()
        await kafka.start()
        assert await first(kafka.bootstrap, "kept") == b"before"
        with kafka.process.frozen():
            assert not await kafka.broker.is_ready()
        assert await first(kafka.bootstrap, "kept") == b"before"


@pytest.mark.parametrize(
    ("password", "trusted", "refusal"),
    [
        ("right", "right", None),
        ("wrong", "right", "Authentication failed"),
        ("right", "wrong", "CERTIFICATE_VERIFY_FAILED"),
    ],
)
async def test_the_secure_door_wants_password_and_authority(
    secure_kafka_server: RunningSecureKafka,
    caplog: pytest.LogCaptureFixture,
    password: str,
    trusted: str,
    refusal: str | None,
) -> None:
    server = secure_kafka_server
    authority = server.authority if trusted == "right" else server.other_authority
    producer = AIOKafkaProducer(
        bootstrap_servers=server.bootstrap,
        security_protocol="SASL_SSL",
        ssl_context=ssl.create_default_context(cafile=str(authority)),
        sasl_mechanism="PLAIN",
        sasl_plain_username=server.user,
        sasl_plain_password=server.password if password == "right" else "guessed",
    )
    try:
        if refusal is None:
            await producer.start()
            return
        with pytest.raises(KafkaConnectionError):
            await producer.start()
        assert refusal in caplog.text
    finally:
        await producer.stop()
