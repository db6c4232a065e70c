"""What every stack is put together from: database and engine, then the services over them."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from stemyard.stack import services, triton
from stemyard.stack.database import start_database
from stemyard.stack.errors import NothingToServe
from stemyard.stack.ports import FreePorts
from stemyard.stack.postgresql import PostgresqlCluster
from stemyard.stack.runtime import RuntimeDirectory
from stemyard.stack.services import Backing, GatewayDoor, OrchestratorDoor
from stemyard.stack.settings import StackSettings
from stemyard.stack.supervisor import Supervisor
from stemyard.stack.triton import TritonDoors
from stemyard.stack.waiting import until

# By then every server answers; what is still missing will not come.
_LAST_CHECK_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Foundation:
    """Database and engine: started, the engine perhaps still loading."""

    database: PostgresqlCluster
    triton: TritonDoors


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The doors of what runs over it."""

    gateways: tuple[GatewayDoor, ...]
    orchestrators: tuple[OrchestratorDoor, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """A running stack: its addresses, and its processes by name."""

    runtime: RuntimeDirectory
    processes: Supervisor
    foundation: Foundation
    services: Services

    @property
    def triton(self) -> TritonDoors:
        return self.foundation.triton

    @property
    def database(self) -> PostgresqlCluster:
        return self.foundation.database

    @property
    def gateway(self) -> GatewayDoor:
        """The one to talk to, where one is enough."""
        return self.services.gateways[0]

    async def ready(self, *, timeout_s: float = _LAST_CHECK_TIMEOUT_S) -> None:
        """Waits until a job could run, whichever services have it. Raises NothingToServe."""
        for door in (*self.services.gateways, *self.services.orchestrators):
            if await self.triton.serves_nothing(self.runtime.serving / "repository"):
                raise await self._nothing_to_serve(door)
            try:
                await until(door.metrics.is_ready, timeout_s=timeout_s)
            except TimeoutError as error:
                raise await self._nothing_to_serve(door) from error

    async def _nothing_to_serve(self, door: GatewayDoor | OrchestratorDoor) -> NothingToServe:
        missing = await door.metrics.what_is_missing()
        refused = triton.refusals(self.runtime.logs / "triton.log")
        return NothingToServe("\n".join([f"{door.name} is not ready: {missing}", *refused]))


async def lay_foundation(
    processes: Supervisor,
    settings: StackSettings,
    runtime: RuntimeDirectory,
    ports: FreePorts,
) -> Foundation:
    """Triton loads its models while the database is made."""
    doors = TritonDoors.choose(ports)
    processes.start(triton.plan(doors, runtime, settings))
    return Foundation(
        database=await start_database(processes, settings, runtime),
        triton=doors,
    )


async def start_services(
    processes: Supervisor,
    foundation: Foundation,
    settings: StackSettings,
    runtime: RuntimeDirectory,
    ports: FreePorts,
    *,
    environment: Mapping[str, str],
) -> Services:
    """`environment` is what every service is told besides, without its prefix."""
    backing = Backing(
        dsn=foundation.database.dsn(),
        triton_address=foundation.triton.grpc_address,
        shared_memory_secret=foundation.triton.shared_memory_secret,
        auth_secret=_auth_secret(runtime),
        environment=environment,
    )
    doors = Services(
        gateways=tuple(
            GatewayDoor.choose(settings, ports, index=n) for n in range(settings.gateways)
        ),
        orchestrators=tuple(
            OrchestratorDoor.choose(ports, index=n) for n in range(settings.orchestrators)
        ),
    )
    started = [processes["triton"]]
    for gateway in doors.gateways:
        plan = services.gateway_plan(gateway, backing, runtime, settings)
        started.append(processes.start(plan))
    for orchestrator in doors.orchestrators:
        plan = services.orchestrator_plan(orchestrator, backing, runtime, settings)
        started.append(processes.start(plan))
    for process in started:
        await process.ready()
    return doors


def _auth_secret(runtime: RuntimeDirectory) -> str:
    """Kept beside the database whose accounts' tokens it signs."""
    path = runtime.root / "auth-secret"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(48))
    return path.read_text()
