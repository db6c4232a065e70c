"""Spleeter's checkpoints as TensorFlow reads and writes them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from spleeter.utils.configuration import load_configuration

from exporters.errors import CheckpointError
from exporters.spleeter.configuration import DEFAULT_FILTERS, DEPTH, layer, stems_of


def read_variables(directory: Path) -> dict[str, np.ndarray]:
    """The variables of the newest checkpoint, by name, without what the optimiser keeps.

    Raises CheckpointError.
    """
    newest = tf.train.latest_checkpoint(str(directory))
    if newest is None:
        raise CheckpointError(f"{directory} names no checkpoint whose index is there")
    try:
        reader = tf.train.load_checkpoint(newest)
        shapes: Mapping[str, list[int]] = reader.get_variable_to_shape_map()
        return {name: reader.get_tensor(name) for name in shapes if _is_weight(name)}
    except (tf.errors.OpError, IndexError, RuntimeError, ValueError) as error:
        raise CheckpointError(
            f"{newest} is truncated or damaged: fetch it again ({_first_line(error)})"
        ) from error


def parameters_of(variables: Mapping[str, np.ndarray], *, suffix: str) -> tuple[str, Any]:
    """The configuration that Spleeter ships for such a checkpoint: its descriptor and its JSON.

    `suffix` is empty or `-16kHz`: those variants share their weights with the others. Raises
    CheckpointError.
    """
    stems = stems_of(variables)
    descriptor = f"spleeter:{stems}stems{suffix}"
    try:
        parameters = load_configuration(descriptor)
    except Exception as error:  # SpleeterError derives from nothing more special
        raise CheckpointError(
            f"the checkpoint has {stems} stems, and Spleeter ships no {descriptor}: pass one of "
            "its 2stems, 4stems or 5stems directories"
        ) from error
    filters = _filters(variables)
    if filters != DEFAULT_FILTERS:
        parameters["model"]["params"]["conv_n_filters"] = list(filters)
    return descriptor, parameters


def _filters(variables: Mapping[str, np.ndarray]) -> tuple[int, ...]:
    names = [f"{layer('conv2d', place)}/kernel" for place in range(DEPTH)]
    if missing := [name for name in names if name not in variables]:
        raise CheckpointError(f"the checkpoint lacks {', '.join(missing)}: it is no Spleeter U-Net")
    return tuple(variables[name].shape[-1] for name in names)


def _is_weight(name: str) -> bool:
    return name.count("/") == 1


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
