"""Messages written in the same transaction as the change they tell of."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from stemcore.database.notifications import OUTBOX
from stemcore.messages import KnownMessage, encode

if TYPE_CHECKING:
    from stemcore.database.pool import Connection, PooledConnection


async def enqueue(
    connection: "Connection | PooledConnection",
    *,
    topic: str,
    key: str,
    message: KnownMessage,
    headers: Mapping[str, str] | None = None,
) -> None:
    """Leave `message` for the relay (Kafka) or the direct intake, inside the transaction.

    Messages of one key keep their order when the transactions that write them exclude each other,
    as those do that have changed the same job before.
    """
    await connection.execute(
        "INSERT INTO outbox (topic, key, payload, headers) VALUES ($1, $2, $3, $4)",
        topic,
        key,
        encode(message),
        dict(headers or {}),
    )
    await connection.execute("SELECT pg_notify($1, '')", OUTBOX)
