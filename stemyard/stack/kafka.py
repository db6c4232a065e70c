"""Kafka: one node in KRaft mode, broker and controller in one process on loopback."""

import asyncio
import os
import shutil
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaError
from aiokafka.protocol.metadata import MetadataRequest

from stemyard.stack.command import run
from stemyard.stack.errors import EnvironmentLacks
from stemyard.stack.ports import HOST, FreePorts
from stemyard.stack.process import ProcessPlan
from stemyard.stack.settings import KafkaServerSettings

_PROBE_TIMEOUT_S = 2.0
_FORMAT_TIMEOUT_S = 60.0

# One node, whose clients want to be served at once, and topics that their services create.
_BROKER_OPTIONS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "listener.security.protocol.map": (
        "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL"
    ),
    "auto.create.topics.enable": "false",
    "offsets.topic.num.partitions": "1",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "log.cleaner.dedupe.buffer.size": str(16 << 20),
    "num.io.threads": "4",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SecureListener:
    """A second door, SASL over TLS; `identity` is a PEM file of private key and certificates.

    `users` maps names to passwords, for PLAIN.
    """

    port: int
    identity: Path
    users: Mapping[str, str] = field(repr=False)

    @property
    def bootstrap(self) -> str:
        return f"{HOST}:{self.port}"

    def options(self) -> dict[str, str]:
        """The broker's options of this listener."""
        users = "".join(f' user_{name}="{password}"' for name, password in self.users.items())
        return {
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self.identity),
            "sasl.enabled.mechanisms": "PLAIN",
            "listener.name.sasl_ssl.plain.sasl.jaas.config": (
                f"org.apache.kafka.common.security.plain.PlainLoginModule required{users};"
            ),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaBroker:
    """Where the broker listens, and the folder of its configuration and its logs."""

    folder: Path
    port: int
    controller_port: int
    secure: SecureListener | None = None

    @classmethod
    def choose(cls, folder: Path, settings: KafkaServerSettings, ports: FreePorts) -> "KafkaBroker":
        port, controller_port = ports.take(2)
        return cls(folder=folder, port=settings.port or port, controller_port=controller_port)

    @property
    def bootstrap(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def configuration(self) -> Path:
        return self.folder / "server.properties"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    async def is_ready(self) -> bool:
        """Whether it answers a request for its metadata, itself among the brokers."""
        try:
            async with asyncio.timeout(_PROBE_TIMEOUT_S):
                return await self._names_a_broker()
        except (OSError, KafkaError, TimeoutError):
            return False

    async def _names_a_broker(self) -> bool:
        connection: Any = AIOKafkaConnection(HOST, self.port)
        await connection.connect()
        try:
            answer = await connection.send(MetadataRequest([]))
        finally:
            await connection.close()
        return bool(answer.brokers)

    def options(self) -> dict[str, str]:
        """Everything the broker is told."""
        doors = [f"PLAINTEXT://{self.bootstrap}"]
        if self.secure is not None:
            doors.append(f"SASL_SSL://{self.secure.bootstrap}")
        controller = f"{HOST}:{self.controller_port}"
        return {
            **_BROKER_OPTIONS,
            "listeners": ",".join([*doors, f"CONTROLLER://{controller}"]),
            "advertised.listeners": ",".join(doors),
            "controller.quorum.voters": f"1@{controller}",
            "log.dirs": str(self.data),
            **({} if self.secure is None else self.secure.options()),
        }


async def prepare(broker: KafkaBroker, settings: KafkaServerSettings) -> None:
    """Writes the configuration; formats the folder unless it is.

    Raises EnvironmentLacks without Java or Kafka's jars.
    """
    broker.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    lines = "".join(f"{name}={value}\n" for name, value in broker.options().items())
    broker.configuration.touch(mode=0o600)
    broker.configuration.write_text(lines)
    if not (broker.data / "meta.properties").exists():
        await _format(broker, settings)


def plan(broker: KafkaBroker, *, log: Path, settings: KafkaServerSettings) -> ProcessPlan:
    """The broker in the foreground. Raises EnvironmentLacks without Java or Kafka's jars."""
    return ProcessPlan(
        name="kafka",
        command=(*_java(settings), "kafka.Kafka", str(broker.configuration)),
        log=log,
        working_directory=broker.folder,
        probe=broker.is_ready,
        start_timeout_s=settings.start_timeout_s,
        stop_grace_s=settings.stop_grace_s,
    )


def _java(settings: KafkaServerSettings) -> tuple[str, ...]:
    """Quick to start and small, rather than fast at its peak."""
    java = shutil.which(settings.java)
    if java is None:
        raise EnvironmentLacks("Kafka needs Java: apt-get install default-jdk-headless maven")
    if not any(settings.jars.glob("kafka_*.jar")):
        raise EnvironmentLacks(f"Kafka's jars are not in {settings.jars}: make servers")
    return (
        java,
        f"-Xmx{settings.heap_mb}m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-cp",
        f"{settings.jars}{os.sep}*",
    )


async def _format(broker: KafkaBroker, settings: KafkaServerSettings) -> None:
    cluster = urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
    await run(
        *_java(settings),
        "kafka.tools.StorageTool",
        "format",
        f"--cluster-id={cluster}",
        f"--config={broker.configuration}",
        purpose="Kafka's folder could not be formatted",
        timeout_s=_FORMAT_TIMEOUT_S,
    )
