"""PostgreSQL, Triton, gateway and orchestrator on one machine: the composition of the stack.

Kafka and MinIO will join here as two more plans, when a setting asks for them.
"""

import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from stemyard.stack import services, triton
from stemyard.stack.database import start_database
from stemyard.stack.errors import NothingToServe
from stemyard.stack.postgresql import PostgresqlCluster
from stemyard.stack.runtime import RuntimeDirectory
from stemyard.stack.services import Backing, GatewayDoor
from stemyard.stack.settings import StackSettings
from stemyard.stack.supervisor import Supervisor, supervisor
from stemyard.stack.triton import TritonDoors
from stemyard.stack.waiting import until

# By then every server answers; what is still missing will not come.
_LAST_CHECK_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OneMachineStack:
    """A running stack: its addresses, and its processes by name."""

    runtime: RuntimeDirectory
    processes: Supervisor
    database: PostgresqlCluster
    triton: TritonDoors
    gateway: GatewayDoor

    async def ready(self, *, timeout_s: float) -> None:
        """Waits until a job could run. Raises NothingToServe."""
        try:
            await until(self.gateway.is_ready, timeout_s=timeout_s)
        except TimeoutError as error:
            missing = await self.gateway.what_is_missing()
            refused = triton.refusals(self.runtime.logs / "triton.log")
            raise NothingToServe("\n".join([f"not ready: {missing}", *refused])) from error


@asynccontextmanager
async def one_machine_stack(
    settings: StackSettings, *, runtime: RuntimeDirectory
) -> AsyncGenerator[OneMachineStack]:
    """Ready when the block begins; everything it started has ended when the block has.

    Raises StackError when something does not come up.
    """
    async with supervisor() as processes:
        stack = await _start(processes, settings, runtime)
        await stack.ready(timeout_s=_LAST_CHECK_TIMEOUT_S)
        yield stack


async def _start(
    processes: Supervisor, settings: StackSettings, runtime: RuntimeDirectory
) -> OneMachineStack:
    """Triton loads its models while the database is made; the services come last."""
    doors = TritonDoors.choose()
    door = GatewayDoor.choose(settings)
    server = processes.start(triton.plan(doors, runtime, settings))
    cluster = await start_database(processes, settings, runtime)
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


def _auth_secret(runtime: RuntimeDirectory) -> str:
    """Kept beside the database whose accounts' tokens it signs."""
    path = runtime.root / "auth-secret"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(48))
    return path.read_text()
