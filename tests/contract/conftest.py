"""The database of the integration tests serves contracts too."""

from tests.integration.conftest import database_settings, pool, postgres_dsn

__all__ = ["database_settings", "pool", "postgres_dsn"]
