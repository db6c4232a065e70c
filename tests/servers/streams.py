"""The ends of a link between two streams."""

import asyncio
from contextlib import suppress


async def closed(*ends: asyncio.StreamWriter) -> None:
    """Close all of them before any wait, in which a cancellation may end this."""
    for end in ends:
        end.close()
    for end in ends:
        with suppress(OSError):
            await end.wait_closed()
