"""Messages written in the same transaction as the change they tell of."""

from typing import TYPE_CHECKING

from pydantic import BaseModel

from stemcore.database.notifications import OUTBOX

if TYPE_CHECKING:
    from stemcore.database.pool import Connection, PooledConnection

JOBS_TOPIC = "stemyard.jobs.v1"


async def enqueue(
    connection: "Connection | PooledConnection", *, topic: str, key: str, message: BaseModel
) -> None:
    """Leave `message` for the relay (Kafka) or the direct intake, inside the transaction."""
    await connection.execute(
        "INSERT INTO outbox (topic, key, payload) VALUES ($1, $2, $3)",
        topic,
        key,
        message.model_dump_json(),
    )
    await connection.execute("SELECT pg_notify($1, '')", OUTBOX)
