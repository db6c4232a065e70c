"""A pool of connections to the session's PostgreSQL."""

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from stemcore.database.pool import DatabaseSettings, open_pool

if TYPE_CHECKING:
    from stemcore.database.pool import Pool


@pytest.fixture
def database_settings(postgres_dsn: str) -> DatabaseSettings:
    return DatabaseSettings(dsn=SecretStr(postgres_dsn))


@pytest.fixture
async def pool(database_settings: DatabaseSettings) -> AsyncGenerator["Pool"]:
    async with open_pool(database_settings) as pool:
        yield pool
