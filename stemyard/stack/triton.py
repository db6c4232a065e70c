"""Triton as one process of the stack: what `python -m serving` is told, and when it serves."""

import json
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from stemyard.stack import http_probe
from stemyard.stack.errors import EnvironmentLacks
from stemyard.stack.ports import HOST, FreePorts
from stemyard.stack.process import ProcessPlan
from stemyard.stack.runtime import RuntimeDirectory
from stemyard.stack.settings import ROOT, StackSettings

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - POSIX shared memory, not a scratch folder


@dataclass(frozen=True, slots=True, kw_only=True)
class TritonDoors:
    """Where the server listens; the ports stay the same when it is started again.

    Who holds the secret may share memory with it.
    """

    http: int
    grpc: int
    metrics: int
    shared_memory_secret: str = field(repr=False)

    @classmethod
    def choose(cls, ports: FreePorts) -> "TritonDoors":
        http, grpc, metrics = ports.take(3)
        secret = secrets.token_urlsafe(32)
        return cls(http=http, grpc=grpc, metrics=metrics, shared_memory_secret=secret)

    @property
    def grpc_address(self) -> str:
        return f"{HOST}:{self.grpc}"

    @property
    def http_address(self) -> str:
        return f"http://{HOST}:{self.http}"

    async def is_ready(self) -> bool:
        """Whether the server has loaded what it could and answers."""
        return await http_probe.is_well(f"{self.http_address}/v2/health/ready")

    async def serves_nothing(self, staged: Path) -> bool:
        """Whether it has loaded what it could of the folder of models, and that is none."""
        if not await self.is_ready():
            return False
        addresses = [f"{self.http_address}/v2/models/{name}/ready" for name in _models(staged)]
        return not any([await http_probe.is_well(address) for address in addresses])


def plan(doors: TritonDoors, runtime: RuntimeDirectory, settings: StackSettings) -> ProcessPlan:
    """Raises EnvironmentLacks when Triton's environment or the default model is not there."""
    if not settings.triton_python.exists():
        raise EnvironmentLacks(f"{settings.triton_python} is missing: make services")
    models = _models(settings.repository)
    if settings.default_model not in models:
        there = ", ".join(models) or "none"
        raise EnvironmentLacks(
            f"no model {settings.default_model!r} in {settings.repository}; there: {there}"
        )
    return ProcessPlan(
        name="triton",
        command=(str(settings.triton_python), "-m", settings.serving_module),
        log=runtime.logs / "triton.log",
        working_directory=ROOT,
        environment=os.environ | environment(doors, runtime.serving, settings),
        probe=doors.is_ready,
        start_timeout_s=settings.start_timeout_s,
        stop_grace_s=15.0,
        clean_up=remove_shared_memory,
    )


def _models(repository: Path) -> list[str]:
    return sorted(config.parent.name for config in repository.glob("*/config.pbtxt"))


def refusals(log: Path) -> tuple[str, ...]:
    """Why models are missing since the last start: not what they claim, or not to be loaded."""
    *_, verified, loaded = ["", *log.read_text(errors="replace").split('"server_starting"')]
    refused = [json.loads(line) for line in verified.splitlines() if '"model_refused"' in line]
    return (
        *(f"{each['model']} was refused, {each['reason']}: {each['detail']}" for each in refused),
        *(line for line in loaded.splitlines() if "failed to load" in line and "version" in line),
    )


def remove_shared_memory(server: int) -> None:
    """What a killed server could not remove; `serving` names its regions after namespace and id."""
    namespace = Path("/proc/self/ns/pid").stat().st_ino
    for region in SHARED_MEMORY.glob(f"stemyard-{namespace}-{server}-*"):
        region.unlink(missing_ok=True)


def remove_clients_memory(client: int) -> None:
    """What a killed orchestrator shared with the server; its regions carry its process id."""
    for region in SHARED_MEMORY.glob(f"stemyard-client-{client}-*"):
        region.unlink(missing_ok=True)


def environment(doors: TritonDoors, serving: Path, settings: StackSettings) -> dict[str, str]:
    """The settings of `serving`, as its environment variables."""
    chosen = {
        "REPOSITORY": str(settings.repository.resolve()),
        "RUNTIME": str(serving),
        "HOST": HOST,
        "PORTS__HTTP": str(doors.http),
        "PORTS__GRPC": str(doors.grpc),
        "PORTS__METRICS": str(doors.metrics),
        "SHARED_MEMORY_SECRET": doors.shared_memory_secret,
        "EXIT_TIMEOUT_S": "5",
    }
    if settings.models is not None:
        chosen["MODELS"] = json.dumps(settings.models)
    if settings.triton_threads is not None:
        chosen["TUNING__THREADS"] = str(settings.triton_threads)
    return {f"STEMYARD_SERVING_{name}": value for name, value in chosen.items()}
