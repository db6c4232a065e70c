"""The database of the integration tests serves contracts too."""

from tests.integration.conftest import database_settings, pool

__all__ = ["database_settings", "pool"]
