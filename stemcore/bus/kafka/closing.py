"""Ending aiokafka's clients, which may wait for ever for a broker that is away."""

import asyncio
from collections.abc import Awaitable

import structlog
from aiokafka.errors import KafkaError

_log = structlog.get_logger(__name__)


async def within(timeout_s: float, ending: Awaitable[None], *, what: str) -> bool:
    """Await `ending`, but no longer than that; whether it came to its end."""
    try:
        async with asyncio.timeout(timeout_s):
            await ending
    except (KafkaError, OSError, TimeoutError) as error:
        _log.warning("kafka_client_cut_off", what=what, reason=repr(error))
        return False
    return True
