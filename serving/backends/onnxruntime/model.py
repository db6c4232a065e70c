"""Triton's onnxruntime backend where only the python backend exists: same name, same configs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnxruntime as ort
from waveform_backend import Arrays, WaveformBackend, parameter


class TritonPythonModel(WaveformBackend):
    """One ONNX Runtime session."""

    def open(self, path: Path, config: Mapping[str, Any]) -> None:
        self._session = ort.InferenceSession(
            path, sess_options=session_options(config), providers=["CPUExecutionProvider"]
        )
        self._run_options = ort.RunOptions()
        self._run_options.only_execute_path_to_fetches = True

    def run(self, feed: Arrays, names: Sequence[str]) -> Sequence[npt.NDArray[Any]]:
        found: Sequence[Any] = self._session.run(names, feed, self._run_options)
        return found

    def finalize(self) -> None:
        del self._session


def session_options(config: Mapping[str, Any]) -> ort.SessionOptions:
    """Reads the parameters NVIDIA's backend reads, by the same names.

    Threads wait asleep: the cores they would spin on are shared with the gateway, the decoder and
    the other models.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = int(parameter(config, "intra_op_thread_count", "0"))
    options.inter_op_num_threads = int(parameter(config, "inter_op_thread_count", "0"))
    if parameter(config, "execution_mode", "0") == "1":
        options.execution_mode = ort.ExecutionMode.ORT_PARALLEL
    spinning = parameter(config, "session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.intra_op.allow_spinning", spinning)
    return options
