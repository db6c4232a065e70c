"""Which GPUs are visible here, as the driver names them."""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

# Keys of a card's provenance: what an engine file was built for, and by.
BUILT_FOR_GPU = "gpu"
BUILT_FOR_CAPABILITY = "gpu_compute_capability"
BUILT_BY_TENSORRT = "tensorrt"

_QUERY = ("nvidia-smi", "--query-gpu=name,compute_cap", "--format=csv,noheader")
_QUERY_TIMEOUT_S = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """`compute_capability` as "9.0"."""

    name: str
    compute_capability: str


def visible_gpus() -> tuple[Gpu, ...]:
    """None where there is no driver, or none that answers."""
    if shutil.which(_QUERY[0]) is None:
        return ()
    try:
        found = subprocess.run(
            _QUERY, capture_output=True, text=True, check=True, timeout=_QUERY_TIMEOUT_S
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(_read(found.stdout))


def _read(table: str) -> Iterator[Gpu]:
    for line in table.splitlines():
        name, _, capability = line.rpartition(",")
        yield Gpu(name=name.strip(), compute_capability=capability.strip())
