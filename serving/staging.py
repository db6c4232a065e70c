"""The repository Triton is shown: verified models alone, their configs tuned to this machine.

What the card does not list is not linked, and so cannot be loaded, whoever asks. The configs in
the source repository stay untouched: threads and instances belong to a machine, not to a model.
"""

import shutil
from pathlib import Path, PurePosixPath
from typing import Any

from google.protobuf import text_format

from serving.inspection import VerifiedModel
from serving.settings import ModelTuning

THREADS_PARAMETER = "intra_op_thread_count"


def clear(staged_repository: Path) -> None:
    """Leaves an empty folder, private to this user."""
    if staged_repository.exists():
        shutil.rmtree(staged_repository)
    staged_repository.mkdir(parents=True, mode=0o700)


def remove(staged_repository: Path, *, model: str) -> None:
    """Unloaded models are taken out of sight, so that no one can load them back unverified."""
    shutil.rmtree(staged_repository / model, ignore_errors=True)


def stage(
    model: VerifiedModel, *, staged_repository: Path, tuning: ModelTuning, warm_up: bool
) -> None:
    """Writes the tuned config and links the files that were verified."""
    target = staged_repository / model.name
    remove(staged_repository, model=model.name)
    target.mkdir(parents=True)
    for path in model.card.files:
        link = target / PurePosixPath(path)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to((model.directory / path).resolve())
    config = tuned(model.config, tuning=tuning, warm_up=warm_up)
    (target / "config.pbtxt").write_text(text_format.MessageToString(config))


def tuned(config: Any, *, tuning: ModelTuning, warm_up: bool) -> Any:
    """A copy of a ModelConfig with this machine's threads, instances and warm-up.

    A warm-up the exporter wrote is kept, or dropped when none is wanted.
    """
    copy = type(config)()
    copy.CopyFrom(config)
    if tuning.threads is not None:
        copy.parameters[THREADS_PARAMETER].string_value = str(tuning.threads)
    if tuning.instances is not None:
        _set_instances(copy, tuning.instances)
    if not warm_up:
        del copy.model_warmup[:]
    elif not copy.model_warmup:
        _add_warm_up(copy)
    return copy


def _set_instances(config: Any, count: int) -> None:
    if not config.instance_group:
        group: Any = config.instance_group.add()
        group.kind = group.KIND_CPU
    for group in config.instance_group:
        group.count = count


def _add_warm_up(config: Any) -> None:
    """One request of the size jobs send; a dynamic axis is warmed by nothing and is left out."""
    if any(dimension < 1 for tensor in config.input for dimension in tensor.dims):
        return
    sample = config.model_warmup.add(name="one_segment", batch_size=1)
    for tensor in config.input:
        warm = sample.inputs[tensor.name]
        warm.data_type = tensor.data_type
        warm.dims.extend(tensor.dims)
        warm.zero_data = True
