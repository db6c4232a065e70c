"""Messages in a queue of this process, for tests; redelivers what nobody acknowledged."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from itertools import count

from stemcore.bus.port import Arrival


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryDelivery:
    """A delivery of the MemoryBus."""

    number: int
    arrival: Arrival
    pending: dict[int, Arrival]

    async def acknowledge(self) -> None:
        """Forget the arrival."""
        self.pending.pop(self.number, None)


class MemoryBus:
    """A MessageSource fed by `publish`."""

    def __init__(self, *, topic: str = "memory") -> None:
        self._topic = topic
        self._numbers = count()
        self._pending: dict[int, Arrival] = {}
        self._arrived = asyncio.Event()

    async def publish(self, payload: str, headers: Mapping[str, str] | None = None) -> None:
        """Make `payload` available to readers."""
        arrival = Arrival(topic=self._topic, payload=payload, headers=headers or {})
        self._pending[next(self._numbers)] = arrival
        self._arrived.set()

    async def deliveries(self) -> AsyncGenerator[MemoryDelivery]:
        """Every unacknowledged payload, again and again."""
        while True:
            for number, arrival in list(self._pending.items()):
                yield MemoryDelivery(number=number, arrival=arrival, pending=self._pending)
            self._arrived.clear()
            if not self._pending:
                await self._arrived.wait()
