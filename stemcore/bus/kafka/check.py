"""Whether any of the brokers lets us in."""

from typing import Any

from aiokafka.conn import create_conn  # pyright: ignore[reportUnknownVariableType]

from stemcore.bus.kafka.errors import kafka_errors
from stemcore.bus.kafka.settings import KafkaSettings
from stemcore.errors import Unavailable
from stemcore.health import Check


def kafka_check(settings: KafkaSettings) -> Check:
    """Asks with a connection of its own, the password included."""

    async def ask() -> None:
        last_error: Unavailable | None = None
        for server in settings.hosts:
            try:
                await _knock(server, settings)
            except Unavailable as error:
                last_error = error
            else:
                return
        if last_error is not None:
            raise last_error

    return ask


async def _knock(server: str, settings: KafkaSettings) -> None:
    host, _, port = server.rpartition(":")
    with kafka_errors():
        connection: Any = await create_conn(host, int(port), **settings.connection_options())
        await connection.close()
