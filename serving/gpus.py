"""Whether a model that wants a GPU finds the one it was made for."""

import ctypes
import ctypes.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serving.errors import ModelRefused, RefusalReason
from serving.inspection import VerifiedModel
from stemcore.gpus import (
    BUILT_BY_TENSORRT,
    BUILT_FOR_CAPABILITY,
    BUILT_FOR_GPU,
    Gpu,
    visible_gpus,
)

PLAN_BACKEND = "tensorrt"
_CACHE_PARAMETERS = ("trt_engine_cache_path", "trt_timing_cache_path")


@dataclass(frozen=True, slots=True, kw_only=True)
class Accelerators:
    """The GPUs of this machine, and the TensorRT that the server would load ("10.13.3")."""

    gpus: tuple[Gpu, ...] = ()
    tensorrt: str | None = None

    @classmethod
    def found(cls) -> "Accelerators":
        return cls(gpus=visible_gpus(), tensorrt=_tensorrt_version())


def wanted_by(model: VerifiedModel) -> bool:
    return any(wants_gpu(each.config) for each in (*model.parts, model))


def check(model: VerifiedModel, here: Accelerators) -> None:
    """Raises ModelRefused where the model could only fail to load; a bag with any of its parts."""
    for each in (*model.parts, model):
        if not wants_gpu(each.config):
            continue
        if not here.gpus:
            raise ModelRefused(RefusalReason.ENGINE_NOT_HERE, _no_gpu(each))
        if each.config.backend == PLAN_BACKEND:
            _check_plan(each, here)


def wants_gpu(config: Any) -> bool:
    return any(group.kind == group.KIND_GPU for group in config.instance_group)


def keep_engines(config: Any, directory: Path) -> None:
    """Has what TensorRT builds for this node's GPU kept in `directory`, which is made."""
    for accelerator in config.optimization.execution_accelerators.gpu_execution_accelerator:
        if accelerator.name == PLAN_BACKEND:
            directory.mkdir(parents=True, exist_ok=True)
            for parameter in _CACHE_PARAMETERS:
                accelerator.parameters[parameter] = str(directory)


def _no_gpu(model: VerifiedModel) -> str:
    return (
        f"{model.directory / 'config.pbtxt'} is of profile {model.card.profile} and wants a GPU, "
        "but nvidia-smi shows none here: export the model with --profile cpu, or serve it where "
        "one is visible"
    )


def _check_plan(model: VerifiedModel, here: Accelerators) -> None:
    """An engine holds kernels for one kind of GPU, and is read by the TensorRT that wrote it."""
    if differences := list(_differences(model, here)):
        plan = model.directory / next(iter(model.card.files))
        raise ModelRefused(
            RefusalReason.ENGINE_NOT_HERE,
            f"{plan} was built {'; and '.join(differences)}: "
            "build it on this machine with scripts/build-engines",
        )


def _differences(model: VerifiedModel, here: Accelerators) -> Iterator[str]:
    built = model.card.provenance
    made_for = Gpu(
        name=built.get(BUILT_FOR_GPU, "an unnamed GPU"),
        compute_capability=built.get(BUILT_FOR_CAPABILITY, "unknown"),
    )
    for gpu in sorted(set(here.gpus) - {made_for}, key=lambda each: each.name):
        yield f"for {_told(made_for)}, here is {_told(gpu)}"
    maker = built.get(BUILT_BY_TENSORRT, "unknown")
    if _release(maker) != _release(here.tensorrt or ""):
        yield f"with TensorRT {maker}, here is {here.tensorrt or 'none'}"


def _told(gpu: Gpu) -> str:
    return f"{gpu.name} (compute capability {gpu.compute_capability})"


def _release(version: str) -> list[str]:
    """Major, minor and patch: the build number makes no other format."""
    return version.split(".")[:3]


def _tensorrt_version() -> str | None:
    """Of the library that the loader finds; it tells major * 10000 + minor * 100 + patch."""
    library = ctypes.util.find_library("nvinfer")
    if library is None:
        return None
    try:
        number = int(ctypes.CDLL(library).getInferLibVersion())
    except (OSError, AttributeError):
        return None
    return f"{number // 10_000}.{number // 100 % 100}.{number % 100}"
