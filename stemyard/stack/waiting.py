"""Waiting for a state of something that cannot tell when it changes."""

import asyncio
from collections.abc import Awaitable, Callable

_ASKED_EVERY_S = 0.05


async def until(condition: Callable[[], Awaitable[bool]], *, timeout_s: float) -> None:
    """Asks until the answer is yes. Raises TimeoutError."""
    async with asyncio.timeout(timeout_s):
        while not await condition():  # noqa: ASYNC110 - other processes set no events
            await asyncio.sleep(_ASKED_EVERY_S)
