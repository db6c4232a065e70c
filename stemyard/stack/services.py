"""Gateway and orchestrator as processes of the stack."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from stemyard.stack import http_probe
from stemyard.stack.ports import free_ports
from stemyard.stack.process import Probe, ProcessPlan
from stemyard.stack.runtime import RuntimeDirectory
from stemyard.stack.settings import ROOT, StackSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayDoor:
    """Where the public API listens."""

    host: str
    port: int

    @classmethod
    def choose(cls, settings: StackSettings) -> "GatewayDoor":
        port = settings.gateway_port or free_ports(1)[0]
        return cls(host=settings.gateway_host, port=port)

    @property
    def address(self) -> str:
        """What a client on this machine types."""
        host = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104
        return f"http://{host}:{self.port}"

    async def is_live(self) -> bool:
        return await http_probe.is_well(f"{self.address}/healthz/live")

    async def is_ready(self) -> bool:
        """Whether database, Triton and at least one servable model are there."""
        return await http_probe.is_well(f"{self.address}/healthz/ready")

    async def what_is_missing(self) -> str:
        """The gateway's own words."""
        try:
            answer = await http_probe.get(f"{self.address}/healthz/ready")
        except httpx.HTTPError as error:
            return f"the gateway does not answer: {error!r}"
        try:
            return json.dumps(answer.json()["details"])
        except (ValueError, KeyError):
            return answer.text


@dataclass(frozen=True, slots=True, kw_only=True)
class Backing:
    """What both services lean on."""

    dsn: str
    triton_address: str
    auth_secret: str


def gateway_plan(
    door: GatewayDoor, backing: Backing, runtime: RuntimeDirectory, settings: StackSettings
) -> ProcessPlan:
    """The public door."""
    return _plan(
        "gateway",
        runtime=runtime,
        settings=settings,
        probe=door.is_live,
        chosen={
            **_common(backing, runtime),
            "HTTP__HOST": door.host,
            "HTTP__PORT": str(door.port),
            "AUTH__SECRET": backing.auth_secret,
            "AUTH__ACCESS_TOKEN_LIFETIME_S": str(settings.access_token_lifetime_s),
            "DEMO_ACCOUNT": str(settings.demo_account).lower(),
            "DEFAULT_MODEL": settings.default_model,
        },
    )


def orchestrator_plan(
    backing: Backing, runtime: RuntimeDirectory, settings: StackSettings
) -> ProcessPlan:
    """The floor."""
    return _plan(
        "orchestrator",
        runtime=runtime,
        settings=settings,
        chosen={
            **_common(backing, runtime),
            "SCRATCH__ROOT": str(runtime.scratch),
            "SLOTS": str(settings.slots),
            "TRITON__WINDOW": str(settings.window),
            "SHUTDOWN_GRACE_S": str(settings.shutdown_grace_s),
        },
    )


def _common(backing: Backing, runtime: RuntimeDirectory) -> dict[str, str]:
    return {
        "DATABASE__DSN": backing.dsn,
        "STORAGE__ROOT": str(runtime.objects),
        "TRITON__ADDRESS": backing.triton_address,
    }


def _plan(
    service: str,
    *,
    runtime: RuntimeDirectory,
    settings: StackSettings,
    chosen: Mapping[str, str],
    probe: Probe | None = None,
) -> ProcessPlan:
    prefix = f"STEMYARD_{service.upper()}_"
    return ProcessPlan(
        name=service,
        command=(str(settings.services_python), "-m", service),
        log=runtime.logs / f"{service}.log",
        working_directory=ROOT,
        environment=os.environ | {f"{prefix}{name}": value for name, value in chosen.items()},
        probe=probe,
        start_timeout_s=settings.start_timeout_s,
    )
