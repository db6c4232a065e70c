"""OpenVINO, as the served model runs: one row at a time, float32 unless bfloat16 is asked for."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import openvino as ov

from exporters.audio import Audio
from exporters.specification import INPUT_NAME

Precision = Literal["fp32", "bf16"]
DEVICE = "CPU"
_HINTS: Mapping[Precision, str] = {"fp32": "f32", "bf16": "bf16"}


class OpenvinoEngine:
    """A compiled model on the CPU. `threads` 0 means all cores."""

    def __init__(self, path: Path, *, precision: Precision, threads: int = 0) -> None:
        core = ov.Core()
        model = core.read_model(path)
        channels, samples = list(model.input(INPUT_NAME).partial_shape)[1:]
        model.reshape({INPUT_NAME: [1, channels.get_length(), samples.get_length()]})
        compiled = core.compile_model(model, DEVICE, _properties(precision, threads=threads))
        self._names = [output.any_name for output in compiled.outputs]
        self._request = compiled.create_infer_request()

    def run(self, mix: Audio) -> Mapping[str, Audio]:
        """[batch, channels, N] to one such array per output."""
        rows = [self._run_row(row[None]) for row in mix]
        return {name: np.concatenate([row[name] for row in rows]) for name in self._names}

    def _run_row(self, row: Audio) -> Mapping[str, Audio]:
        self._request.infer({INPUT_NAME: np.ascontiguousarray(row)})
        return {name: self._request.get_tensor(name).data.copy() for name in self._names}


def precisions_here() -> tuple[Precision, ...]:
    """What this CPU computes in hardware."""
    capabilities = ov.Core().get_property(DEVICE, "OPTIMIZATION_CAPABILITIES")
    return ("fp32", "bf16") if "BF16" in capabilities else ("fp32",)


def _properties(precision: Precision, *, threads: int) -> dict[str, object]:
    chosen: dict[str, object] = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": "1",
        "INFERENCE_PRECISION_HINT": _HINTS[precision],
        "ENABLE_CPU_PINNING": False,
    }
    return chosen | ({"INFERENCE_NUM_THREADS": threads} if threads else {})
