"""Asking one broker whether it lets us in."""

from typing import Any

from aiokafka.conn import AIOKafkaConnection

from stemcore.bus.kafka.closing import within
from stemcore.bus.kafka.errors import kafka_errors
from stemcore.bus.kafka.settings import KafkaSettings


async def knock(server: str, settings: KafkaSettings) -> None:
    """Connect, prove who we are, and leave; raises BusAway and BusRefused."""
    host, _, port = server.rpartition(":")
    connection: Any = AIOKafkaConnection(host, int(port), **settings.connection_options())
    try:
        with kafka_errors():
            await connection.connect()
    finally:
        closed = connection.close()
        # What never was connected never tells that it was lost.
        if connection._protocol is not None:
            await within(settings.stop_timeout_s, closed, what="connection")
