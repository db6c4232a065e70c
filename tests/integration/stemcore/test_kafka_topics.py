"""Topics on a real broker: made as the settings say, and compared with them."""

import asyncio
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from stemcore.bus.errors import BusAway, BusRefused
from stemcore.bus.kafka.settings import TopicSettings
from stemcore.bus.kafka.topics import Difference, KafkaTopics
from stemcore.ids import new_id
from tests.integration.kafka_records import settings_for

if TYPE_CHECKING:
    from tests.servers.kafka import RunningKafka


def topics_of(server: "RunningKafka", **wanted: TopicSettings) -> KafkaTopics:
    return KafkaTopics(settings_for(server.bootstrap), wanted)


async def test_what_is_missing_is_made_and_then_as_wanted(kafka_server: "RunningKafka") -> None:
    names = [f"test.{new_id()}" for _ in range(2)]
    wanted = {name: TopicSettings(partitions=3, retention_hours=0.5) for name in names}
    assert await topics_of(kafka_server, **wanted).ensure() == frozenset()
    # Asked again, they are described by the broker.
    assert await topics_of(kafka_server, **wanted).ensure() == frozenset()


async def test_what_differs_is_told_once_and_left_alone(kafka_server: "RunningKafka") -> None:
    name = f"test.{new_id()}"
    await topics_of(kafka_server, **{name: TopicSettings(partitions=2)}).ensure()
    other = topics_of(
        kafka_server, **{name: TopicSettings(partitions=5, retention_hours=1, replication=3)}
    )
    with capture_logs() as logs:
        differences = await other.ensure()
        assert await other.ensure() == differences
    week_ms = 7 * 24 * 3_600_000
    assert differences == {
        Difference(topic=name, what="partitions", wanted=5, found=2),
        Difference(topic=name, what="replication", wanted=3, found=1),
        Difference(topic=name, what="retention.ms", wanted=3_600_000, found=week_ms),
    }
    told = [log for log in logs if log["event"] == "topic_differs_from_settings"]
    assert len(told) == 3


async def test_two_that_make_it_at_once_both_find_it(kafka_server: "RunningKafka") -> None:
    name = f"test.{new_id()}"
    makers = [topics_of(kafka_server, **{name: TopicSettings(partitions=1)}) for _ in range(2)]
    found = await asyncio.gather(*(maker.ensure() for maker in makers))
    assert found == [frozenset(), frozenset()]
    assert await makers[0].ensure() == frozenset()


async def test_more_replicas_than_brokers_are_refused_by_the_name_of_the_setting(
    kafka_server: "RunningKafka",
) -> None:
    topic = TopicSettings(partitions=1, replication=3)
    with pytest.raises(BusRefused, match="KAFKA__REPLICATION"):
        await topics_of(kafka_server, **{f"test.{new_id()}": topic}).ensure()


async def test_a_broker_that_is_away_is_away(unused_tcp_port: int) -> None:
    topics = KafkaTopics(settings_for(f"127.0.0.1:{unused_tcp_port}"), {})
    with pytest.raises(BusAway):
        await topics.ensure()
