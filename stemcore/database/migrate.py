"""Bring a database to the newest schema; as a program, the one that STEMYARD_DSN names."""

import os
import sys
from pathlib import Path

from alembic import command
from alembic.config import Config

MIGRATIONS = Path(__file__).parent / "migrations"


def upgrade(dsn: str, *, revision: str = "head") -> None:
    """Apply the missing migrations; a no-op when there are none. Blocks until done."""
    command.upgrade(_config(dsn), revision)


def _config(dsn: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["dsn"] = dsn
    return config


if __name__ == "__main__":
    if "STEMYARD_DSN" not in os.environ:
        sys.exit("set STEMYARD_DSN to the address of the database, postgresql://...")
    upgrade(os.environ["STEMYARD_DSN"])
