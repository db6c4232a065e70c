"""The server's command line and environment."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from serving.settings import ServingSettings
from serving.wheel import Wheel

ADMIN_HEADER = "stemyard-admin"
OURS = "STEMYARD_"
# What changes the server, or lets a caller reach its files and memory. Health, metadata, model
# configuration, statistics and inference stay open: the services read the catalogue from them.
MEMORY_HEADER = "stemyard-memory"
MEMORY = "shared-memory"
RESTRICTED = ("model-repository", MEMORY, "trace", "logging")


def arguments(
    settings: ServingSettings,
    *,
    models: Sequence[str],
    repository: Path,
    backends: Path,
    admin_secret: str,
    region_prefix: str,
) -> list[str]:
    """Everything after the program's name."""
    return [
        f"--model-repository={repository}",
        f"--backend-directory={backends}",
        f"--backend-config=python,shm-region-prefix-name={region_prefix}",
        "--model-control-mode=explicit",
        *(f"--load-model={model}" for model in models),
        "--exit-on-error=false",
        "--strict-readiness=false",
        f"--exit-timeout-secs={settings.exit_timeout_s}",
        f"--http-address={settings.host}",
        f"--http-port={settings.ports.http}",
        f"--grpc-address={settings.host}",
        f"--grpc-port={settings.ports.grpc}",
        f"--metrics-address={settings.host}",
        f"--metrics-port={settings.ports.metrics}",
        *_restrictions(settings, admin_secret=admin_secret),
        "--log-format=ISO8601",
        f"--log-verbose={settings.log_verbose}",
        *_tracing(settings.trace_endpoint),
    ]


def _restrictions(settings: ServingSettings, *, admin_secret: str) -> list[str]:
    """Who may share memory with the server need not be one who may load models."""
    memory_secret = settings.shared_memory_secret
    admins = [name for name in RESTRICTED if name != MEMORY or memory_secret is None]
    locks = [f"{','.join(admins)}:{ADMIN_HEADER}={admin_secret}"]
    if memory_secret is not None:
        locks.append(f"{MEMORY}:{MEMORY_HEADER}={memory_secret.get_secret_value()}")
    doors = ("http-restricted-api", "grpc-restricted-protocol")
    return [f"--{door}={lock}" for lock in locks for door in doors]


def _tracing(endpoint: str | None) -> list[str]:
    """No trace begins here: those of callers go on."""
    if endpoint is None:
        return []
    return [
        "--trace-config=mode=opentelemetry",
        f"--trace-config=opentelemetry,url={endpoint.rstrip('/')}/v1/traces",
        "--trace-config=opentelemetry,resource=service.name=stemyard-triton",
        "--trace-config=level=TIMESTAMPS",
        "--trace-config=rate=0",
    ]


def environment(settings: ServingSettings, *, wheel: Wheel) -> dict[str, str]:
    """This process's environment without our settings, plus what server and stub need."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return {
        **kept,
        **_ALLOCATORS[settings.allocator],
        "LD_LIBRARY_PATH": _joined(wheel.library_path(), kept.get("LD_LIBRARY_PATH")),
        # The stub finds its standard library and packages by the python3 it meets first.
        "PATH": _joined(str(Path(sys.prefix) / "bin"), kept.get("PATH")),
    }


# glibc gives blocks above 32 MB back at each free and faults them in again at the next
# allocation; segments are larger than that.
_ALLOCATORS: Mapping[str, Mapping[str, str]] = {
    "default": {},
    "raised": {
        "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
        "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
    },
}


def _joined(first: str, rest: str | None) -> str:
    return f"{first}:{rest}" if rest else first
