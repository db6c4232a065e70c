"""Messages in a queue of this process, for tests; redelivers what nobody acknowledged."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass

from stemcore.messages import Message, decode


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryDelivery:
    """A delivery of the MemoryBus."""

    payload: str
    pending: deque[str]

    @property
    def message(self) -> Message:
        """The decoded message."""
        return decode(self.payload)

    async def acknowledge(self) -> None:
        """Forget the payload."""
        self.pending.remove(self.payload)


class MemoryBus:
    """A MessageSource fed by `publish`."""

    def __init__(self) -> None:
        self._pending: deque[str] = deque()
        self._arrived = asyncio.Event()

    async def publish(self, payload: str) -> None:
        """Make `payload` available to readers."""
        self._pending.append(payload)
        self._arrived.set()

    async def deliveries(self) -> AsyncIterator[MemoryDelivery]:
        """Every unacknowledged payload, again and again."""
        while True:
            for payload in list(self._pending):
                yield MemoryDelivery(payload=payload, pending=self._pending)
            self._arrived.clear()
            if not self._pending:
                await self._arrived.wait()
