"""How messages arrive and leave: at least once, acknowledged after their effect is durable."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from stemcore.messages import Message, decode


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where a broker keeps a record."""

    partition: int
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """What arrived, and where; `position` is None when there is no broker."""

    topic: str
    payload: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    position: Position | None = None

    @property
    def message(self) -> Message:
        """The decoded message, or `Undecodable`."""
        return decode(self.payload)


class Delivery(Protocol):
    """One arrival of a message; unacknowledged, it arrives again."""

    @property
    def arrival(self) -> Arrival:
        """What arrived."""
        ...

    async def acknowledge(self) -> None:
        """Never deliver this arrival again, if that can be had.

        Never raises for a broker that is away or has given the record to somebody else: the effect
        is durable, and the next arrival of the same message has none.
        """
        ...


class MessageSource(Protocol):
    """A stream of deliveries that ends only by cancellation or by being closed.

    It outlives the absence of what it reads from. Asking for the next delivery while the last one
    is not acknowledged gives that one back to be delivered again.
    """

    def deliveries(self) -> AsyncGenerator[Delivery]:
        """Deliveries as they come."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is to be published; records of one key keep their order."""

    topic: str
    key: str
    payload: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


class Publisher(Protocol):
    """Publishes records."""

    async def connect(self) -> None:
        """Be ready to publish; raises Unavailable."""
        ...

    async def publish(self, records: Sequence[Record]) -> Sequence[Record]:
        """Publish in this order; returns those that are too large to be published at all.

        Raises Unavailable when not all others are known to be durable: any may have arrived, and
        all are to be published again.
        """
        ...
