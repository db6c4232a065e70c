import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stemcore.database.pool import Pool

ROOT = Path(__file__).parents[3]


async def migrate(dsn: str) -> int:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "stemcore.database.migrate",
        cwd=ROOT,
        env={**os.environ, "STEMYARD_DSN": dsn},
    )
    async with asyncio.timeout(60):
        return await process.wait()


async def test_two_processes_may_migrate_an_empty_database_at_once(
    postgres_dsn: str, pool: "Pool"
) -> None:
    await pool.execute("CREATE DATABASE empty")
    # With a parameter that the driver knows and the migration tool does not.
    dsn = postgres_dsn.replace("/postgres?", "/empty?sslmode=prefer&")
    try:
        assert await asyncio.gather(migrate(dsn), migrate(dsn)) == [0, 0]
    finally:
        await pool.execute("DROP DATABASE empty WITH (FORCE)")
