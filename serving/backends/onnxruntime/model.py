"""Triton's onnxruntime backend where only the python backend exists: same name, same configs.

Triton loads this file into one process per model instance; it stands alone and imports nothing of
the project. Arrays are batch first, as ONNX Runtime and Triton have them.
"""

import json
import os
import threading
import time
from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import triton_python_backend_utils as pb

Arrays = Mapping[str, npt.NDArray[Any]]

DEFAULT_FILENAME = "model.onnx"
PARENT_CHECK_S = 1.0
_DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


class InvalidRequest(ValueError):
    """The request can never be answered; its text goes back to the caller."""


class TritonPythonModel:
    """One ONNX Runtime session; concurrent requests are answered in one run."""

    @staticmethod
    def auto_complete_config(auto_complete_model_config: Any) -> Any:
        """Configs are written whole by the exporter: there is nothing to complete."""
        return auto_complete_model_config

    def initialize(self, args: Mapping[str, str]) -> None:
        """Opens the model file of this version; raising keeps the model from loading."""
        _end_with_server()
        if args["model_instance_kind"] != "CPU":
            raise pb.TritonModelException("this backend serves instances of KIND_CPU only")
        config = json.loads(args["model_config"])
        filename = config.get("default_model_filename") or DEFAULT_FILENAME
        path = Path(args["model_repository"]) / args["model_version"] / filename
        self._session = ort.InferenceSession(
            path, sess_options=session_options(config), providers=["CPUExecutionProvider"]
        )
        self._inputs = [tensor.name for tensor in self._session.get_inputs()]
        self._outputs = [tensor.name for tensor in self._session.get_outputs()]
        self._run_options = ort.RunOptions()
        self._run_options.only_execute_path_to_fetches = True
        if _parameter(config, "stemyard_warm_up", "false") == "true":
            self._warm_up()

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """One response per request, in order; a bad request spoils no other."""
        responses: dict[int, Any] = {}
        sound: list[tuple[int, Arrays, Sequence[str]]] = []
        for place, request in enumerate(requests):
            try:
                sound.append((place, self._read(request), self._wanted(request)))
            except InvalidRequest as error:
                responses[place] = _failure(error, pb.TritonError.INVALID_ARG)
        responses.update(self._answer(sound))
        return [responses[place] for place in range(len(requests))]

    def finalize(self) -> None:
        """Gives the session's memory back before the process ends."""
        del self._session

    def _warm_up(self) -> None:
        """One run on silence, so that the first request finds memory and kernels in place.

        Axes of no fixed length are as short as can be.
        """
        silence = {
            tensor.name: np.zeros(
                [size if isinstance(size, int) else 1 for size in tensor.shape],
                dtype=_DTYPES[tensor.type],
            )
            for tensor in self._session.get_inputs()
        }
        self._session.run(self._outputs, silence, self._run_options)

    def _read(self, request: Any) -> Arrays:
        arrays: dict[str, npt.NDArray[Any]] = {}
        for name in self._inputs:
            tensor = pb.get_input_tensor_by_name(request, name)
            if tensor is None:
                raise InvalidRequest(f"input {name!r} is missing")
            arrays[name] = tensor.as_numpy()
        if len({len(array) for array in arrays.values()}) != 1:
            raise InvalidRequest("the inputs differ in their batch size")
        return arrays

    def _wanted(self, request: Any) -> Sequence[str]:
        wanted: Sequence[str] = request.requested_output_names()
        if unknown := set(wanted) - set(self._outputs):
            raise InvalidRequest(f"no such output: {', '.join(sorted(unknown))}")
        return wanted

    def _answer(self, sound: Sequence[tuple[int, Arrays, Sequence[str]]]) -> dict[int, Any]:
        if not sound:
            return {}
        try:
            return self._answer_together(sound)
        except Exception as error:  # noqa: BLE001 - whatever it is, it must reach the caller
            if len(sound) == 1:
                return {sound[0][0]: _failure(error, pb.TritonError.INTERNAL)}
            # Which of them is to blame is seen by asking each alone.
            return {place: found for item in sound for place, found in self._answer([item]).items()}

    def _answer_together(
        self, sound: Sequence[tuple[int, Arrays, Sequence[str]]]
    ) -> dict[int, Any]:
        names = [name for name in self._outputs if any(name in wanted for _, _, wanted in sound)]
        feed = {name: _joined([arrays[name] for _, arrays, _ in sound]) for name in self._inputs}
        found: Sequence[Any] = self._session.run(names, feed, self._run_options)
        computed = dict(zip(names, found, strict=True))
        rows = [len(arrays[self._inputs[0]]) for _, arrays, _ in sound]
        spans = pairwise(accumulate(rows, initial=0))
        return {
            place: _success({name: computed[name][start:end] for name in wanted})
            for (place, _, wanted), (start, end) in zip(sound, spans, strict=True)
        }


def _end_with_server() -> None:
    """End this process when the server is gone.

    Triton's stub notices a killed server, but one that was in the middle of a run stayed for ever.
    """
    server = os.getppid()

    def watch() -> None:
        while os.getppid() == server:
            time.sleep(PARENT_CHECK_S)
        os._exit(1)

    threading.Thread(target=watch, name="server-watch", daemon=True).start()


def session_options(config: Mapping[str, Any]) -> ort.SessionOptions:
    """Reads the parameters NVIDIA's backend reads, by the same names.

    Threads wait asleep: the cores they would spin on are shared with the gateway, the decoder and
    the other models.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = int(_parameter(config, "intra_op_thread_count", "0"))
    options.inter_op_num_threads = int(_parameter(config, "inter_op_thread_count", "0"))
    if _parameter(config, "execution_mode", "0") == "1":
        options.execution_mode = ort.ExecutionMode.ORT_PARALLEL
    spinning = _parameter(config, "session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.intra_op.allow_spinning", spinning)
    return options


def _parameter(config: Mapping[str, Any], name: str, default: str) -> str:
    value: str = config.get("parameters", {}).get(name, {}).get("string_value", default)
    return value


def _joined(arrays: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _success(outputs: Arrays) -> Any:
    return pb.InferenceResponse([pb.Tensor(name, array) for name, array in outputs.items()])


def _failure(error: Exception, code: Any) -> Any:
    return pb.InferenceResponse([], pb.TritonError(str(error), code))
