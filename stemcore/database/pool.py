"""The connection pool: every wait bounded, JSON columns as Python values."""

import json
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import asyncpg
from pydantic import Field, SecretStr

from stemcore.errors import ErrorCode, Unavailable
from stemcore.settings import SettingsSection

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
    PooledConnection = asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
    Pool = asyncpg.Pool[asyncpg.Record]


class DatabaseSettings(SettingsSection):
    """Where PostgreSQL is and how long to wait for it."""

    dsn: SecretStr
    pool_size: int = Field(default=8, ge=1, le=100)
    connect_timeout_s: float = Field(default=5.0, gt=0)
    command_timeout_s: float = Field(default=10.0, gt=0)


async def prepare_connection(connection: "Connection") -> None:
    """Make `jsonb` columns read and write Python values."""
    await connection.set_type_codec(
        "jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog"
    )


@asynccontextmanager
async def open_pool(settings: DatabaseSettings) -> AsyncGenerator["Pool"]:
    """A pool that connects on demand, so that a service starts while PostgreSQL is away."""
    pool = asyncpg.create_pool(
        settings.dsn.get_secret_value(),
        min_size=0,
        max_size=settings.pool_size,
        timeout=settings.connect_timeout_s,
        command_timeout=settings.command_timeout_s,
        init=prepare_connection,
    )
    async with pool:
        yield pool


@contextmanager
def database_errors() -> Generator[None]:
    """Translate what a lost or refusing server raises into `Unavailable`."""
    try:
        yield
    except (
        OSError,
        asyncpg.PostgresConnectionError,
        asyncpg.CannotConnectNowError,
        asyncpg.AdminShutdownError,
        asyncpg.CrashShutdownError,
        # No connection, memory or room on the disk left.
        asyncpg.InsufficientResourcesError,
        asyncpg.InterfaceError,
        asyncpg.QueryCanceledError,
        asyncpg.DeadlockDetectedError,
        # A standby that has not been promoted yet, a database that has not been migrated yet.
        asyncpg.ReadOnlySQLTransactionError,
        asyncpg.UndefinedTableError,
    ) as error:
        raise Unavailable(ErrorCode.SERVICE_UNAVAILABLE, "The database does not answer.") from error
