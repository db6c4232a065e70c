"""The repository Triton is shown: verified models alone, their configs tuned to this machine.

What the card does not list is not linked, and so cannot be loaded, whoever asks. The configs in
the source repository stay untouched: threads and instances belong to a machine, not to a model.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from google.protobuf import text_format

from serving import gpus
from serving.inspection import CONFIG_FILE, ENSEMBLE, VerifiedModel, copied, new_config
from serving.settings import ModelTuning, usable_cores

# Each backend's own name for the threads of an instance.
THREADS_PARAMETERS = {"onnxruntime": "intra_op_thread_count", "openvino": "INFERENCE_NUM_THREADS"}
WARM_UP_PARAMETER = "stemyard_warm_up"
FIRST_VERSION = "1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """A model's instances, and the threads of each, where its config says how many."""

    instances: int
    threads: int | None


def clear(staged_repository: Path) -> None:
    """Leaves an empty folder, private to this user."""
    if staged_repository.exists():
        shutil.rmtree(staged_repository)
    staged_repository.mkdir(parents=True, mode=0o700)


def remove(staged_repository: Path, *, model: str) -> None:
    """Unloaded models are taken out of sight, so that no one can load them back unverified.

    A bag goes with its parts.
    """
    for part in parts(staged_repository, model=model):
        shutil.rmtree(staged_repository / part, ignore_errors=True)
    shutil.rmtree(staged_repository / model, ignore_errors=True)


def parts(staged_repository: Path, *, model: str) -> tuple[str, ...]:
    """The models that a staged bag runs; none of any other model."""
    try:
        text = (staged_repository / model / CONFIG_FILE).read_text()
    except OSError:
        return ()
    config = text_format.Parse(text, new_config())
    return tuple(step.model_name for step in config.ensemble_scheduling.step)


def stage(
    model: VerifiedModel,
    *,
    staged_repository: Path,
    tuning: ModelTuning,
    warm_up: bool,
    engine_cache: Path | None = None,
) -> Shares:
    """Writes the tuned config and links the files that were verified."""
    target = staged_repository / model.name
    remove(staged_repository, model=model.name)
    # Triton wants a version even of a bag, which has no file.
    (target / FIRST_VERSION if model.parts else target).mkdir(parents=True)
    for path in model.card.files:
        link = target / PurePosixPath(path)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to((model.directory / path).resolve())
    config = tuned(model.config, tuning=tuning, warm_up=warm_up)
    if engine_cache is not None:
        gpus.keep_engines(config, engine_cache)
    (target / CONFIG_FILE).write_text(text_format.MessageToString(config))
    return _shares(config)


def tuned(config: Any, *, tuning: ModelTuning, warm_up: bool) -> Any:
    """A copy of a ModelConfig with this machine's threads, instances and warm-up.

    The server's own warm-up is taken out, and our backend told to do it: a warm-up that fails
    brings this server down, with every other model (seen in 3 of 4 starts of Triton 2.51). A GPU's
    backends are NVIDIA's, which know no other: there it stays.
    """
    copy = copied(config)
    if not (warm_up and gpus.wants_gpu(copy)):
        del copy.model_warmup[:]
    if copy.platform == ENSEMBLE:
        return copy
    copy.parameters[WARM_UP_PARAMETER].string_value = str(warm_up).lower()
    if tuning.instances is not None:
        _set_instances(copy, tuning.instances)
    parameter = THREADS_PARAMETERS.get(copy.backend)
    if parameter is not None:
        threads = tuning.threads or max(1, usable_cores() // _instances(copy))
        copy.parameters[parameter].string_value = str(threads)
    return copy


def _shares(tuned_config: Any) -> Shares:
    parameter = THREADS_PARAMETERS.get(tuned_config.backend)
    threads = int(tuned_config.parameters[parameter].string_value) if parameter else None
    return Shares(instances=_instances(tuned_config), threads=threads)


def _instances(config: Any) -> int:
    return max(1, sum(group.count for group in config.instance_group))


def _set_instances(config: Any, count: int) -> None:
    if not config.instance_group:
        group: Any = config.instance_group.add()
        group.kind = group.KIND_CPU
    for group in config.instance_group:
        group.count = count
