"""Passwords and certificates, at a real listener that wants both."""

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs

from stemcore.bus.errors import BusAway, BusRefused
from stemcore.bus.kafka.publisher import open_publisher
from stemcore.bus.kafka.settings import KafkaSettings, TopicSettings
from stemcore.bus.kafka.source import KafkaSource
from stemcore.bus.kafka.topics import KafkaTopics
from stemcore.bus.port import Record
from stemcore.ids import new_id
from stemyard.stack.waiting import until
from tests.integration.kafka_records import settings_for

if TYPE_CHECKING:
    from tests.servers.kafka import RunningKafka, RunningSecureKafka

WITHIN_S = 60.0


def secure_settings(server: "RunningSecureKafka", **changes: Any) -> KafkaSettings:
    return settings_for(
        server.bootstrap,
        **{
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": "PLAIN",
            "username": server.user,
            "password": server.password,
            "ca_file": server.authority,
        }
        | changes,
    )


async def test_who_has_both_publishes_and_reads(secure_kafka_server: "RunningSecureKafka") -> None:
    settings, topic = secure_settings(secure_kafka_server), f"test.{new_id()}"
    topics = KafkaTopics(settings, {topic: TopicSettings(partitions=1)})
    async with asyncio.timeout(WITHIN_S), open_publisher(settings, topics) as publisher:
        assert await publisher.publish([Record(topic=topic, key="k", payload="hello")]) == []
        async with aclosing(KafkaSource(settings, topics, topic=topic).deliveries()) as deliveries:
            assert (await anext(deliveries)).arrival.payload == "hello"


@pytest.mark.parametrize(
    ("changes", "look_at"),
    [
        ({"password": "wrong"}, "KAFKA__PASSWORD"),
        ({"username": "stranger"}, "KAFKA__USERNAME"),
        ({"sasl_mechanism": "SCRAM-SHA-512"}, "KAFKA__SASL_MECHANISM"),
    ],
)
async def test_who_has_the_wrong_ones_is_told_which_setting_to_look_at(
    secure_kafka_server: "RunningSecureKafka", changes: dict[str, str], look_at: str
) -> None:
    settings = secure_settings(secure_kafka_server, **changes)
    with pytest.raises(BusRefused, match=look_at) as refused:
        await KafkaTopics(settings, {}).ensure()
    assert secure_kafka_server.password not in str(refused.value)
    assert "wrong" not in str(refused.value).replace("is wrong", "")


@pytest.mark.parametrize("stranger", [True, False])
async def test_a_certificate_of_a_stranger_is_not_trusted(
    secure_kafka_server: "RunningSecureKafka", *, stranger: bool
) -> None:
    ca_file = secure_kafka_server.other_authority if stranger else None
    settings = secure_settings(secure_kafka_server, ca_file=ca_file)
    with pytest.raises(BusRefused, match="KAFKA__CA_FILE"):
        await KafkaTopics(settings, {}).ensure()


async def test_a_listener_without_tls_is_named(
    kafka_server: "RunningKafka", secure_kafka_server: "RunningSecureKafka"
) -> None:
    settings = secure_settings(
        secure_kafka_server, bootstrap_servers=kafka_server.bootstrap, request_timeout_s=2
    )
    # Nothing on the wire tells a listener without TLS from one that is stuck.
    with pytest.raises((BusRefused, BusAway)):
        await KafkaTopics(settings, {}).ensure()


async def test_a_reader_and_a_publisher_say_so_and_go_on_trying(
    secure_kafka_server: "RunningSecureKafka",
) -> None:
    settings = secure_settings(secure_kafka_server, password="wrong")
    topics = KafkaTopics(settings, {})
    with pytest.raises(BusRefused):
        async with open_publisher(settings, topics) as publisher:
            await publisher.connect()
    with capture_logs() as logs:
        async with aclosing(KafkaSource(settings, topics, topic="any").deliveries()) as deliveries:
            waiting = asyncio.ensure_future(anext(deliveries))

            async def it_was_told_twice() -> bool:
                return sum(log["event"] == "kafka_refused" for log in logs) >= 2

            await until(it_was_told_twice, timeout_s=WITHIN_S)
            assert not waiting.done()
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
    (reason, *_) = {log["reason"] for log in logs if log["event"] == "kafka_refused"}
    assert "KAFKA__PASSWORD" in reason


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"security_protocol": "SASL_SSL"}, "needs username and password"),
        ({"username": "u", "password": "secret-word"}, "never shows a username"),
        ({"ca_file": __file__}, "never looks at ca_file"),
        ({"security_protocol": "SSL", "ca_file": __file__}, "no PEM certificates"),
        ({"security_protocol": "SSL", "ca_file": "/nowhere.pem"}, "does not point to a file"),
        ({"bootstrap_servers": "localhost"}, "is not host:port"),
    ],
)
def test_settings_that_cannot_work_are_refused_before_anything_starts(
    wrong: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ValidationError, match=complaint) as refused:
        KafkaSettings.model_validate({"bootstrap_servers": "localhost:9092"} | wrong)
    assert "secret-word" not in str(refused.value)


def test_a_system_that_trusts_its_own_needs_no_file() -> None:
    settings = settings_for("localhost:9092", security_protocol="SSL")
    context = settings.ssl_context
    assert context is not None
    assert context.check_hostname
    assert settings_for("localhost:9092").ssl_context is None
