"""PostgreSQL, Triton, gateway and orchestrator on one machine: the composition of the stack.

Kafka and MinIO will join here as two more plans, when a setting asks for them.
"""

import asyncio
import os
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from stemyard.stack import postgresql, services, triton
from stemyard.stack.errors import StackError, StartTimedOut
from stemyard.stack.postgresql import PostgresqlCluster
from stemyard.stack.runtime import RuntimeDirectory
from stemyard.stack.services import Backing, GatewayDoor
from stemyard.stack.settings import ROOT, StackSettings
from stemyard.stack.supervisor import Supervisor, supervisor
from stemyard.stack.triton import TritonDoors
from stemyard.stack.waiting import until

_MIGRATION_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OneMachineStack:
    """A running stack: its addresses, and its processes by name."""

    runtime: RuntimeDirectory
    processes: Supervisor
    database: PostgresqlCluster
    triton: TritonDoors
    gateway: GatewayDoor

    async def ready(self, *, timeout_s: float) -> None:
        """Waits until a job could run. Raises StartTimedOut with what the gateway misses."""
        try:
            await until(self.gateway.is_ready, timeout_s=timeout_s)
        except TimeoutError as error:
            missing = await self.gateway.what_is_missing()
            log = self.runtime.logs / "triton.log"
            raise StartTimedOut("the stack", what=f"is not ready: {missing}", log=log) from error


@asynccontextmanager
async def one_machine_stack(
    settings: StackSettings, *, runtime: RuntimeDirectory
) -> AsyncGenerator[OneMachineStack]:
    """Ready when the block begins; everything it started has ended when the block has.

    Raises StackError when something does not come up, and also when, later, a process cannot be
    kept running.
    """
    async with supervisor() as processes:
        stack = await _start(processes, settings, runtime)
        await stack.ready(timeout_s=settings.start_timeout_s)
        yield stack


async def _start(
    processes: Supervisor, settings: StackSettings, runtime: RuntimeDirectory
) -> OneMachineStack:
    """Triton loads its models while the database is made; the services come last."""
    doors = TritonDoors.choose()
    door = GatewayDoor.choose(settings)
    server = processes.start(triton.plan(doors, runtime, settings))
    cluster = await _start_database(processes, settings, runtime)
    backing = Backing(
        dsn=cluster.dsn(),
        triton_address=doors.grpc_address,
        auth_secret=_auth_secret(runtime),
    )
    gateway = processes.start(services.gateway_plan(door, backing, runtime, settings))
    processes.start(services.orchestrator_plan(backing, runtime, settings))
    await server.ready()
    await gateway.ready()
    return OneMachineStack(
        runtime=runtime, processes=processes, database=cluster, triton=doors, gateway=door
    )


async def _start_database(
    processes: Supervisor, settings: StackSettings, runtime: RuntimeDirectory
) -> PostgresqlCluster:
    cluster = await postgresql.prepared(runtime)
    server = processes.start(postgresql.plan(cluster, runtime, durable=settings.durable))
    await server.ready()
    await cluster.create_database()
    await _migrate(cluster.dsn(), settings)
    return cluster


async def _migrate(dsn: str, settings: StackSettings) -> None:
    """In a process of its own: the migration tool sets up logging and an event loop as it likes."""
    process = await asyncio.create_subprocess_exec(
        str(settings.services_python),
        "-m",
        "stemcore.database.migrate",
        cwd=ROOT,
        env=os.environ | {"STEMYARD_DSN": dsn},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        _, complaint = await asyncio.wait_for(process.communicate(), _MIGRATION_TIMEOUT_S)
    except BaseException:
        process.kill()
        raise
    if process.returncode != 0:
        raise StackError(f"the database could not be migrated:\n{complaint.decode()}")


def _auth_secret(runtime: RuntimeDirectory) -> str:
    """Kept beside the database whose accounts' tokens it signs."""
    path = runtime.root / "auth-secret"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(48))
    return path.read_text()
