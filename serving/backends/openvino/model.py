"""Triton's openvino backend where only the python backend exists: same name, same configs.

Parameters have the names NVIDIA's backend reads. It knows no way to ask for float32 where the CPU
has bfloat16, so INFERENCE_PRECISION_HINT, which is OpenVINO's own name, stands beside HINT_BF16.
"""

import fcntl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino as ov
from waveform_backend import Arrays, WaveformBackend, parameter

DEVICE = "CPU"
CACHE_PARAMETER = "stemyard_model_cache"
LOCK = "lock"


class TritonPythonModel(WaveformBackend):
    """One compiled model of batch 1, whose rows are run one by one: batch mates change no bit."""

    def open(self, path: Path, config: Mapping[str, Any]) -> None:
        core = ov.Core()
        model = core.read_model(path)
        model.reshape({tensor["name"]: [1, *_sizes(tensor)] for tensor in config["input"]})
        with _alone_in(parameter(config, CACHE_PARAMETER, "")):
            compiled = core.compile_model(model, DEVICE, properties(config))
        self._request = compiled.create_infer_request()

    def run(self, feed: Arrays, names: Sequence[str]) -> Sequence[npt.NDArray[Any]]:
        rows = len(next(iter(feed.values())))
        if rows == 1:
            return self._run_row(feed, names)
        single = (
            {name: array[row : row + 1] for name, array in feed.items()} for row in range(rows)
        )
        answers = [[array.copy() for array in self._run_row(row, names)] for row in single]
        return [np.concatenate(arrays) for arrays in zip(*answers, strict=True)]

    def finalize(self) -> None:
        del self._request

    def _run_row(self, feed: Arrays, names: Sequence[str]) -> Sequence[npt.NDArray[Any]]:
        """Views of the engine's own memory, good until the next run."""
        inputs = {name: np.ascontiguousarray(array) for name, array in feed.items()}
        self._request.infer(inputs, share_inputs=True, share_outputs=True)
        return [self._request.get_tensor(name).data for name in names]


@contextmanager
def _alone_in(cache: str) -> Iterator[None]:
    """One at a time: an instance would read what another of the same model is still writing."""
    if not cache:
        yield
        return
    Path(cache).mkdir(parents=True, exist_ok=True)
    with Path(cache, LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def properties(config: Mapping[str, Any]) -> dict[str, Any]:
    """OpenVINO's properties; threads are not pinned to cores that others need too."""
    chosen: dict[str, Any] = {
        "PERFORMANCE_HINT": parameter(config, "PERFORMANCE_HINT", "LATENCY"),
        "NUM_STREAMS": parameter(config, "NUM_STREAMS", "1"),
        "INFERENCE_PRECISION_HINT": _precision(config),
        "ENABLE_CPU_PINNING": False,
    }
    if threads := int(parameter(config, "INFERENCE_NUM_THREADS", "0")):
        chosen["INFERENCE_NUM_THREADS"] = threads
    if cache := parameter(config, CACHE_PARAMETER, ""):
        chosen["CACHE_DIR"] = cache
    return chosen


def _precision(config: Mapping[str, Any]) -> str:
    """Float32 unless asked: by itself OpenVINO takes bfloat16 where the CPU has it."""
    hinted = parameter(config, "HINT_BF16", "NO").upper() == "YES"
    return parameter(config, "INFERENCE_PRECISION_HINT", "bf16" if hinted else "f32")


def _sizes(tensor: Mapping[str, Any]) -> list[int]:
    return [int(size) for size in tensor["dims"]]
