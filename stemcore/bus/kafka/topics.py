"""The topics: created where they are missing, compared with the settings where they are not."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    InvalidReplicationFactorError,
    KafkaConnectionError,
    NotControllerError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    for_code,
)

from stemcore.bus.errors import BusAway, BusRefused
from stemcore.bus.kafka.closing import within
from stemcore.bus.kafka.errors import kafka_errors
from stemcore.bus.kafka.knock import knock
from stemcore.bus.kafka.settings import KafkaSettings, TopicSettings

_FORBIDDEN = (ClusterAuthorizationFailedError, TopicAuthorizationFailedError)
_RETENTION = "retention.ms"
_MIN_IN_SYNC = "min.insync.replicas"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Something about a topic that is not as the settings want it."""

    topic: str
    what: str
    wanted: int
    found: int


class KafkaTopics:
    """The wanted topics on one cluster. Every client asks for them before it starts."""

    def __init__(self, settings: KafkaSettings, wanted: Mapping[str, TopicSettings]) -> None:
        self._settings = settings
        self._wanted = wanted
        self._told: frozenset[Difference] = frozenset()

    async def ensure(self) -> frozenset[Difference]:
        """Create what is missing and tell, once, what differs; changes nothing that exists.

        Raises BusAway and BusRefused, the latter with the setting to look at.
        """
        wanted = self._wanted
        async with self._admin() as admin:
            with kafka_errors():
                there = await _describe(admin, wanted)
                missing = {name: wanted[name] for name in wanted if name not in there}
                if missing:
                    await self._create(admin, missing)
                differences = frozenset(
                    difference
                    for name, found in there.items()
                    for difference in self._compare(name, wanted[name], found)
                )
        for difference in differences - self._told:
            _log.error(
                "topic_differs_from_settings",
                topic=difference.topic,
                what=difference.what,
                wanted=difference.wanted,
                found=difference.found,
            )
        self._told = differences
        return differences

    @asynccontextmanager
    async def _admin(self) -> AsyncGenerator[Any]:
        admin: Any = AIOKafkaAdminClient(
            bootstrap_servers=self._settings.bootstrap_servers,
            **self._settings.connection_options(),
        )
        try:
            try:
                with kafka_errors():
                    await admin.start()
            except BusAway as error:
                if isinstance(error.__cause__, KafkaConnectionError):
                    await self._why_nobody_answers()
                raise
            yield admin
        finally:
            await within(self._settings.stop_timeout_s, admin.close(), what="admin")

    async def _why_nobody_answers(self) -> None:
        """Raises what aiokafka only logs: that a broker refuses us, and why."""
        for server in self._settings.hosts:
            await knock(server, self._settings)

    async def _create(self, admin: Any, missing: Mapping[str, TopicSettings]) -> None:
        topics = [
            NewTopic(
                name,
                topic.partitions,
                self._replication(topic),
                topic_configs={
                    _RETENTION: str(topic.retention_ms),
                    _MIN_IN_SYNC: str(min(2, self._replication(topic))),
                },
            )
            for name, topic in missing.items()
        ]
        if admin._client.cluster.controller is None:
            # aiokafka would read the id of none.
            raise BusAway("the cluster has no controller yet")
        answer = await admin.create_topics(topics)
        for name, code, message in answer.topic_errors:
            error = for_code(code)
            if error is InvalidReplicationFactorError:
                raise BusRefused(f"{message}; look at KAFKA__REPLICATION")
            if error is NotControllerError:
                raise BusAway(f"no controller for the topic {name}")
            if code and error is not TopicAlreadyExistsError:
                raise error(f"topic {name}: {message}")
            if not code:
                _log.info("topic_created", topic=name, partitions=missing[name].partitions)

    def _compare(self, name: str, wanted: TopicSettings, found: "_Found") -> list[Difference]:
        pairs = {
            "partitions": (wanted.partitions, found.partitions),
            "replication": (self._replication(wanted), found.replication),
            _RETENTION: (wanted.retention_ms, found.retention_ms),
        }
        return [
            Difference(topic=name, what=what, wanted=want, found=have)
            for what, (want, have) in pairs.items()
            if have not in (want, None)
        ]

    def _replication(self, topic: TopicSettings) -> int:
        return topic.replication or self._settings.replication


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    partitions: int
    replication: int
    retention_ms: int | None


async def _describe(admin: Any, wanted: Mapping[str, TopicSettings]) -> Mapping[str, _Found]:
    described = {
        topic["topic"]: topic
        # Asked for by name, a missing topic would be made by a broker that makes any.
        for topic in await admin.describe_topics()
        if topic["topic"] in wanted and topic["error_code"] == 0
    }
    retention = await _retentions(admin, list(described))
    return {
        name: _Found(
            partitions=len(topic["partitions"]),
            replication=min(len(partition["replicas"]) for partition in topic["partitions"]),
            retention_ms=retention.get(name),
        )
        for name, topic in described.items()
    }


async def _retentions(admin: Any, names: list[str]) -> Mapping[str, int]:
    """Of those that we may look into; a cluster's people need not let us."""
    if not names:
        return {}
    resources = [
        ConfigResource(ConfigResourceType.TOPIC, name, {_RETENTION: None}) for name in names
    ]
    found: dict[str, int] = {}
    for answer in await admin.describe_configs(resources):
        for code, message, _kind, name, entries in answer.resources:
            if for_code(code) in _FORBIDDEN:
                _log.warning("topic_retention_unknown", topic=name, reason=message)
                continue
            if code:
                raise for_code(code)(message)
            values = {entry[0]: entry[1] for entry in entries}
            found[name] = int(values[_RETENTION])
    return found
