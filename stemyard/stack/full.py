"""The stack that production uses, on one machine: Kafka and MinIO, several of each service."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from stemyard.stack import kafka, minio
from stemyard.stack.assembly import Stack, lay_foundation, start_services
from stemyard.stack.kafka import KafkaBroker
from stemyard.stack.minio import MinioServer
from stemyard.stack.ports import FreePorts
from stemyard.stack.runtime import RuntimeDirectory
from stemyard.stack.settings import FullStackSettings
from stemyard.stack.supervisor import Supervisor, supervisor


@dataclass(frozen=True, slots=True, kw_only=True)
class FullStack(Stack):
    """With the addresses of broker and object store."""

    kafka: KafkaBroker
    minio: MinioServer


@asynccontextmanager
async def full_stack(
    settings: FullStackSettings, *, runtime: RuntimeDirectory
) -> AsyncGenerator[FullStack]:
    """Ready when the block begins; everything it started has ended when the block has.

    Raises StackError when something does not come up.
    """
    ports = FreePorts()
    async with supervisor() as processes:
        async with asyncio.TaskGroup() as group:
            broker = group.create_task(_start_kafka(processes, settings, runtime, ports))
            store = group.create_task(_start_minio(processes, settings, runtime, ports))
            laying = group.create_task(lay_foundation(processes, settings, runtime, ports))
        foundation = laying.result()
        environment = _environment(broker.result(), store.result())
        services = await start_services(
            processes, foundation, settings, runtime, ports, environment=environment
        )
        stack = FullStack(
            runtime=runtime,
            processes=processes,
            foundation=foundation,
            services=services,
            kafka=broker.result(),
            minio=store.result(),
        )
        await stack.ready()
        yield stack


async def _start_kafka(
    processes: Supervisor,
    settings: FullStackSettings,
    runtime: RuntimeDirectory,
    ports: FreePorts,
) -> KafkaBroker:
    broker = KafkaBroker.choose(runtime.kafka, settings.kafka, ports)
    await kafka.prepare(broker, settings.kafka)
    plan = kafka.plan(broker, log=runtime.logs / "kafka.log", settings=settings.kafka)
    await processes.start(plan).ready()
    return broker


async def _start_minio(
    processes: Supervisor,
    settings: FullStackSettings,
    runtime: RuntimeDirectory,
    ports: FreePorts,
) -> MinioServer:
    server = MinioServer.choose(runtime.minio, settings.minio, ports)
    plan = minio.plan(server, log=runtime.logs / "minio.log", settings=settings.minio)
    await processes.start(plan).ready()
    return server


def _environment(broker: KafkaBroker, store: MinioServer) -> dict[str, str]:
    """Names of the services' own settings."""
    return {
        "KAFKA__BOOTSTRAP_SERVERS": broker.bootstrap,
        "KAFKA__REPLICATION": "1",
        "STORAGE__S3__ENDPOINT": store.endpoint,
        "STORAGE__S3__BUCKET": store.bucket,
        "STORAGE__S3__ACCESS_KEY": store.credentials.access_key,
        "STORAGE__S3__SECRET_KEY": store.credentials.secret_key,
    }
