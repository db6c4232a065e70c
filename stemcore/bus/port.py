"""How messages arrive: at least once, acknowledged after their effect is durable."""

from collections.abc import AsyncIterator
from typing import Protocol

from stemcore.messages import Message


class Delivery(Protocol):
    """One arrival of a message; unacknowledged, it arrives again."""

    @property
    def message(self) -> Message:
        """The decoded message, or `Undecodable`."""
        ...

    async def acknowledge(self) -> None:
        """Never deliver this arrival again."""
        ...


class MessageSource(Protocol):
    """A stream of deliveries that ends only by cancellation."""

    def deliveries(self) -> AsyncIterator[Delivery]:
        """Deliveries as they come."""
        ...
