"""A real Kafka broker for tests, by the stack's own plan."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from stemyard.stack import kafka
from stemyard.stack.kafka import KafkaBroker, SecureListener
from stemyard.stack.ports import FreePorts
from stemyard.stack.settings import KafkaServerSettings
from tests.servers.certificates import Authority
from tests.servers.process import ServerProcess, running

USER = "stemyard"
PASSWORD = "a password of the tests"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningKafka:
    """`bootstrap` is plain text without a password."""

    broker: KafkaBroker
    process: ServerProcess

    @property
    def bootstrap(self) -> str:
        return self.broker.bootstrap

    async def stop(self) -> None:
        await self.process.stop()

    async def start(self) -> None:
        await self.process.start()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningSecureKafka:
    """`bootstrap` wants SASL (PLAIN) over TLS, with a certificate signed by `authority`.

    `other_authority` never signed anything here; both are PEM files.
    """

    bootstrap: str
    user: str
    password: str
    authority: Path
    other_authority: Path


@asynccontextmanager
async def running_kafka(folder: Path) -> AsyncGenerator[RunningKafka]:
    """Empty when the block begins."""
    settings = KafkaServerSettings()
    broker = KafkaBroker.choose(folder, settings, FreePorts())
    async with _running(broker, settings) as process:
        yield RunningKafka(broker=broker, process=process)


@asynccontextmanager
async def running_secure_kafka(folder: Path) -> AsyncGenerator[RunningSecureKafka]:
    """One user, one password."""
    settings = KafkaServerSettings()
    authority = Authority(folder)
    ports = FreePorts()
    secure = _secure_listener(folder, authority, ports)
    broker = replace(KafkaBroker.choose(folder / "broker", settings, ports), secure=secure)
    async with _running(broker, settings):
        yield RunningSecureKafka(
            bootstrap=secure.bootstrap,
            user=USER,
            password=PASSWORD,
            authority=authority.certificate,
            other_authority=Authority(folder, name="stranger").certificate,
        )


@asynccontextmanager
async def _running(
    broker: KafkaBroker, settings: KafkaServerSettings
) -> AsyncGenerator[ServerProcess]:
    await kafka.prepare(broker, settings)
    plan = kafka.plan(broker, log=broker.folder / "kafka.log", settings=settings)
    async with running(plan) as process:
        yield process


def _secure_listener(folder: Path, authority: Authority, ports: FreePorts) -> SecureListener:
    identity = folder / "identity.pem"
    identity.write_bytes(b"".join(authority.identity()))
    (port,) = ports.take(1)
    return SecureListener(port=port, identity=identity, users={USER: PASSWORD})
