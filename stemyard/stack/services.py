"""Gateways and orchestrators as processes of the stack."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

import httpx

from stemyard.stack import http_probe
from stemyard.stack.ports import HOST, FreePorts
from stemyard.stack.process import Probe, ProcessPlan
from stemyard.stack.runtime import RuntimeDirectory
from stemyard.stack.settings import ROOT, StackSettings
from stemyard.stack.triton import remove_clients_memory

# Published, and only in a stack on loopback.
DEMO_EMAIL = "test@example.com"
DEMO_PASSWORD = "password123"  # noqa: S105
# Who submits by message is the demo account, with songs from its own part of the store.
DEMO_SERVICE_ACCOUNT = "demo"
DEMO_PREFIX = "submissions/demo/"

_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - compared with, not listened on


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsDoor:
    """Where one service shows its metrics and its health to those who run it."""

    port: int

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.port}"

    async def is_live(self) -> bool:
        return await http_probe.is_well(f"{self.address}/healthz/live")

    async def is_ready(self) -> bool:
        """Whether all that its service leans on, and at least one servable model, are there."""
        return await http_probe.is_well(f"{self.address}/healthz/ready")

    async def what_is_missing(self) -> str:
        """In the service's own words."""
        try:
            answer = await http_probe.get(f"{self.address}/healthz/ready")
        except httpx.HTTPError as error:
            return f"no answer: {error!r}"
        try:
            return json.dumps(answer.json()["missing"])
        except (ValueError, KeyError):
            return answer.text


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayDoor:
    """Where the public API listens, one of possibly several."""

    name: str
    host: str
    port: int
    metrics: MetricsDoor

    @classmethod
    def choose(cls, settings: StackSettings, ports: FreePorts, *, index: int = 0) -> "GatewayDoor":
        """A given port is the first one's, and the others follow it."""
        port, metrics_port = ports.take(2)
        if settings.gateway_port is not None:
            port = settings.gateway_port + index
        return cls(
            name=_numbered("gateway", index),
            host=settings.gateway_host,
            port=port,
            metrics=MetricsDoor(port=metrics_port),
        )

    @property
    def address(self) -> str:
        """What a client on this machine types."""
        return f"http://{HOST if self.host in _EVERYWHERE else self.host}:{self.port}"

    async def is_live(self) -> bool:
        return await http_probe.is_well(f"{self.address}/healthz/live")


@dataclass(frozen=True, slots=True, kw_only=True)
class OrchestratorDoor:
    """An orchestrator has no public door."""

    name: str
    metrics: MetricsDoor

    @classmethod
    def choose(cls, ports: FreePorts, *, index: int = 0) -> "OrchestratorDoor":
        (port,) = ports.take(1)
        return cls(name=_numbered("orchestrator", index), metrics=MetricsDoor(port=port))


@dataclass(frozen=True, slots=True, kw_only=True)
class Backing:
    """What all services lean on; `environment` names the object store and the broker."""

    dsn: str
    triton_address: str
    shared_memory_secret: str
    auth_secret: str
    environment: Mapping[str, str]


def gateway_plan(
    door: GatewayDoor, backing: Backing, runtime: RuntimeDirectory, settings: StackSettings
) -> ProcessPlan:
    """The public door."""
    return _plan(
        "gateway",
        name=door.name,
        runtime=runtime,
        settings=settings,
        probe=door.is_live,
        chosen={
            **_common(backing),
            "HTTP__HOST": door.host,
            "HTTP__PORT": str(door.port),
            "AUTH__SECRET": backing.auth_secret,
            "AUTH__ACCESS_TOKEN_LIFETIME_S": str(settings.access_token_lifetime_s),
            "DEMO_ACCOUNT": str(settings.demo_account).lower(),
            "DEFAULT_MODEL": settings.default_model,
            "SCRATCH__ROOT": str(runtime.probed),
            "METRICS__PORT": str(door.metrics.port),
        },
    )


def orchestrator_plan(
    door: OrchestratorDoor, backing: Backing, runtime: RuntimeDirectory, settings: StackSettings
) -> ProcessPlan:
    """The floor."""
    plan = _plan(
        "orchestrator",
        name=door.name,
        runtime=runtime,
        settings=settings,
        probe=door.metrics.is_live,
        chosen={
            **_common(backing),
            "SCRATCH__ROOT": str(runtime.scratch),
            "SLOTS": str(settings.slots),
            "TRITON__WINDOW": str(settings.window),
            "TRITON__SHARED_MEMORY_SECRET": backing.shared_memory_secret,
            "SHUTDOWN_GRACE_S": str(settings.shutdown_grace_s),
            "SUBMISSIONS__ACCOUNTS": json.dumps(_service_accounts(settings)),
            "SUBMISSIONS__DEFAULT_MODEL": settings.default_model,
            "METRICS__PORT": str(door.metrics.port),
        },
    )
    return replace(plan, clean_up=remove_clients_memory)


def _service_accounts(settings: StackSettings) -> dict[str, dict[str, str]]:
    if not settings.demo_account:
        return {}
    return {DEMO_SERVICE_ACCOUNT: {"email": DEMO_EMAIL, "prefix": DEMO_PREFIX}}


def _common(backing: Backing) -> dict[str, str]:
    return {
        "DATABASE__DSN": backing.dsn,
        "TRITON__ADDRESS": backing.triton_address,
        **backing.environment,
    }


def _numbered(service: str, index: int) -> str:
    return service if index == 0 else f"{service}-{index + 1}"


def _plan(
    service: str,
    *,
    name: str,
    runtime: RuntimeDirectory,
    settings: StackSettings,
    chosen: Mapping[str, str],
    probe: Probe,
) -> ProcessPlan:
    prefix = f"STEMYARD_{service.upper()}_"
    return ProcessPlan(
        name=name,
        command=(str(settings.services_python), "-m", service),
        log=runtime.logs / f"{name}.log",
        working_directory=ROOT,
        environment=os.environ | {f"{prefix}{name}": value for name, value in chosen.items()},
        probe=probe,
        start_timeout_s=settings.start_timeout_s,
    )
