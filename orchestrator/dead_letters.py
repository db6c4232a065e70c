"""What has no effect is kept, with its reason, for somebody to look at."""

import hashlib
from typing import TYPE_CHECKING
from uuid import NAMESPACE_OID, UUID, uuid5

import structlog

from stemcore.bus.port import Arrival
from stemcore.database import outbox
from stemcore.ids import new_id
from stemcore.messages import DeadLetter
from stemcore.telemetry.traces import carrier
from stemcore.topics import DEAD_LETTERS_TOPIC

if TYPE_CHECKING:
    from stemcore.database.pool import PooledConnection

# Quoted into JSON, a character may take six bytes, and a broker takes messages of a megabyte.
MAX_PAYLOAD_CHARACTERS = 100_000
MAX_REASON_CHARACTERS = 2_000

_log = structlog.get_logger(__name__)


async def bury(connection: "PooledConnection", arrival: Arrival, *, reason: str) -> None:
    """Keep it in the table, and leave it for the topic of dead letters."""
    position = arrival.position
    payload, reason = _storable(arrival.payload), _storable(reason)[:MAX_REASON_CHARACTERS]
    await connection.execute(
        "INSERT INTO dead_letters (topic, payload, reason) VALUES ($1, $2, $3)",
        arrival.topic,
        payload,
        reason,
    )
    letter = DeadLetter(
        event_id=new_id(),
        topic=arrival.topic,
        partition=position and position.partition,
        offset=position and position.offset,
        headers={_storable(name): _storable(text) for name, text in arrival.headers.items()},
        payload=payload[:MAX_PAYLOAD_CHARACTERS],
        truncated=len(payload) > MAX_PAYLOAD_CHARACTERS,
        reason=reason,
    )
    await outbox.enqueue(
        connection,
        topic=DEAD_LETTERS_TOPIC,
        key=arrival.topic,
        message=letter,
        headers=carrier(),
    )
    _log.warning("message_buried", topic=arrival.topic, position=position, reason=reason)


def identity_of(arrival: Arrival) -> UUID:
    """The same for the same record read again; without a broker every arrival is its own."""
    if arrival.position is None:
        return new_id()
    digest = hashlib.sha256(arrival.payload.encode("utf-8", "surrogatepass")).hexdigest()
    where = f"{arrival.topic}/{arrival.position.partition}/{arrival.position.offset}"
    return uuid5(NAMESPACE_OID, f"{where}/{digest}")


def _storable(text: str) -> str:
    """The one character that PostgreSQL cannot hold, and those that are none, stay visible."""
    visible = text.encode("utf-8", "backslashreplace").decode()
    return visible.replace("\x00", "\\x00")
