"""A real PostgreSQL for tests, by the stack's own plan: it ends with the session, even one that
crashes."""

import asyncio
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg

from stemcore.database import migrate
from stemyard.stack import postgresql
from stemyard.stack.runtime import locked
from tests.servers.process import running

if TYPE_CHECKING:
    from stemcore.database.pool import Pool

# Jobs and what hangs on them go with their accounts.
TABLES = ("accounts", "outbox", "inbox", "dead_letters", "doomed_prefixes")


@asynccontextmanager
async def running_postgresql() -> AsyncGenerator[str]:
    """The address of a migrated database."""
    # Not below pytest's own folder, which another session closes to the server's user.
    with (
        tempfile.TemporaryDirectory(prefix="stemyard-", ignore_cleanup_errors=True) as folder,
        locked(Path(folder) / "runtime") as runtime,
    ):
        cluster = await asyncio.to_thread(postgresql.prepare, runtime)
        async with running(postgresql.plan(cluster, runtime, durable=False)):
            dsn = cluster.dsn(postgresql.SUPERUSER)
            await asyncio.to_thread(migrate.upgrade, dsn)
            yield dsn


def own_database(server_dsn: str, *, name: str) -> str:
    """The address of another migrated database there, for tests that take whatever they find."""
    asyncio.run(_create_database(server_dsn, name))
    address, _, options = server_dsn.partition("?")
    dsn = f"{address.rpartition('/')[0]}/{name}?{options}"
    migrate.upgrade(dsn)
    return dsn


async def _create_database(server_dsn: str, name: str) -> None:
    connection = await asyncpg.connect(server_dsn)
    try:
        await connection.execute(f"CREATE DATABASE {name}")
    finally:
        await connection.close()


async def emptied(pool: "Pool") -> None:
    """Leave no rows of an earlier test."""
    for table in TABLES:
        await pool.execute(f"DELETE FROM {table}")  # noqa: S608
