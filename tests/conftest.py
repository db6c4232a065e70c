"""Servers that the whole session shares; a test that stops one starts its own (tests/servers)."""

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

if TYPE_CHECKING:
    from tests.servers.kafka import RunningKafka, RunningSecureKafka
    from tests.servers.minio import RunningMinio

# Imported where they are used: the exporters' environment has none of it.


@pytest.fixture
def unused_tcp_port() -> int:
    """Below those of outgoing connections: pytest-asyncio's own could be taken by any client."""
    from stemyard.stack.ports import free_ports  # noqa: PLC0415

    (port,) = free_ports(1)
    return port


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def postgres_dsn() -> AsyncGenerator[str]:
    """A migrated database; make one of your own beside it for more than rows."""
    from tests.servers.postgresql import running_postgresql  # noqa: PLC0415

    async with running_postgresql() as dsn:
        yield dsn


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def kafka_server(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncGenerator["RunningKafka"]:
    """Name topics and groups after the test: everybody's are here."""
    from tests.servers.kafka import running_kafka  # noqa: PLC0415

    async with running_kafka(tmp_path_factory.mktemp("kafka")) as server:
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def secure_kafka_server(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncGenerator["RunningSecureKafka"]:
    from tests.servers.kafka import running_secure_kafka  # noqa: PLC0415

    async with running_secure_kafka(tmp_path_factory.mktemp("secure-kafka")) as server:
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def minio_server(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncGenerator["RunningMinio"]:
    """Name buckets or prefixes after the test: everybody's are here."""
    from tests.servers.minio import running_minio  # noqa: PLC0415

    async with running_minio(tmp_path_factory.mktemp("minio")) as server:
        yield server
