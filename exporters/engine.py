"""ONNX Runtime, as the served model runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort

from exporters.audio import Audio
from exporters.specification import INPUT_NAME


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorDeclaration:
    """What a graph says of an input or output; a dynamic axis is its name."""

    name: str
    type: str
    shape: tuple[int | str, ...]


class OnnxEngine:
    """A session on the CPU. `threads` 0 means all cores; idle ones sleep, others may need them."""

    def __init__(self, path: Path, *, threads: int = 0) -> None:
        self._session = cpu_session(str(path), threads=threads)

    @property
    def inputs(self) -> tuple[TensorDeclaration, ...]:
        return tuple(_declaration(node) for node in self._session.get_inputs())

    @property
    def outputs(self) -> tuple[TensorDeclaration, ...]:
        return tuple(_declaration(node) for node in self._session.get_outputs())

    def run(self, mix: Audio) -> Mapping[str, Audio]:
        """[batch, channels, N] to one such array per output."""
        names = [output.name for output in self.outputs]
        arrays = self._session.run(names, {INPUT_NAME: mix})
        # An array of the session's keeps all of its memory alive: gigabytes a model of a bag.
        return {name: np.array(array) for name, array in zip(names, arrays, strict=True)}


def cpu_session(model: str | bytes, *, threads: int) -> ort.InferenceSession:
    """Of a file's name, or of a serialised model."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _declaration(node: ort.NodeArg) -> TensorDeclaration:
    return TensorDeclaration(name=node.name, type=node.type, shape=tuple(node.shape))
