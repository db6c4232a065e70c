"""What the python-based backends share: requests in, responses out, one engine in between.

`serving` puts this file beside each backend's model.py. Triton loads them into one process per
model instance; they import nothing of the project. Arrays are batch first, as Triton has them.
"""

import json
import os
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import triton_python_backend_utils as pb

Arrays = Mapping[str, npt.NDArray[Any]]
Sound = Sequence[tuple[int, Arrays, Sequence[str]]]

DEFAULT_FILENAME = "model.onnx"
WARM_UP_PARAMETER = "stemyard_warm_up"
# Ends by itself with the process it watches.
_END_WITH_PARENT = """
while read -r _ _ _ parent _ < "/proc/$1/stat"; do
  [ "$parent" = "$2" ] || exec kill -9 "$1"
  sleep 1
done
"""
_DTYPES = {"TYPE_FP32": np.float32, "TYPE_FP16": np.float16}


class InvalidRequest(ValueError):
    """The request can never be answered; its text goes back to the caller."""


class UnusableAnswer(RuntimeError):
    """The engine computed what nobody should hear; its text goes back to the caller."""


class WaveformBackend(ABC):
    """One engine; concurrent requests are answered in one run."""

    @staticmethod
    def auto_complete_config(auto_complete_model_config: Any) -> Any:
        """Configs are written whole by the exporter: there is nothing to complete."""
        return auto_complete_model_config

    def initialize(self, args: Mapping[str, str]) -> None:
        """Opens the model file of this version; raising keeps the model from loading."""
        self._watch = _end_with_server()
        if args["model_instance_kind"] != "CPU":
            raise pb.TritonModelException(
                "this server's backends run on the CPU alone: export the model with --profile cpu, "
                "or serve it in NVIDIA's container"
            )
        config = json.loads(args["model_config"])
        filename = config.get("default_model_filename") or DEFAULT_FILENAME
        path = Path(args["model_repository"]) / args["model_version"] / filename
        self._inputs = [tensor["name"] for tensor in config["input"]]
        self._outputs = [tensor["name"] for tensor in config["output"]]
        self.open(path, config)
        if parameter(config, WARM_UP_PARAMETER, "false") == "true":
            started_at = time.monotonic()
            self._warm_up(config)
            # A server without metrics serves all the same.
            with suppress(pb.TritonModelException):
                self._tell_warm_up(args["model_name"], time.monotonic() - started_at)

    @abstractmethod
    def open(self, path: Path, config: Mapping[str, Any]) -> None:
        """Makes the engine ready; whatever it raises keeps the model from loading."""

    @abstractmethod
    def run(self, feed: Arrays, names: Sequence[str]) -> Sequence[npt.NDArray[Any]]:
        """The named outputs, in order; the arrays are read before the next run."""

    @abstractmethod
    def finalize(self) -> None:
        """Gives the engine's memory back before the process ends."""

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

    def _warm_up(self, config: Mapping[str, Any]) -> None:
        """One run on silence, so that the first request finds memory and kernels in place.

        Axes of no fixed length are as short as can be.
        """
        silence = {
            tensor["name"]: np.zeros(
                [1, *(max(1, int(size)) for size in tensor["dims"])],
                dtype=_DTYPES[tensor["data_type"]],
            )
            for tensor in config["input"]
        }
        self.run(silence, self._outputs)

    def _tell_warm_up(self, model: str, seconds: float) -> None:
        """Among the server's own metrics, which count no run that nobody asked for."""
        # Family and metric go with the last reference to them.
        self._warm_ups = pb.MetricFamily(
            name="stemyard_warm_up_seconds",
            description="How long a model's first run took, on silence, before it was ready.",
            kind=pb.MetricFamily.GAUGE,
        )
        self._warm_up_told = self._warm_ups.Metric(labels={"model": model})
        self._warm_up_told.set(seconds)

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

    def _answer(self, sound: Sound) -> dict[int, Any]:
        if not sound:
            return {}
        try:
            return self._answer_together(sound)
        except Exception as error:  # noqa: BLE001 - whatever it is, it must reach the caller
            if len(sound) == 1:
                return {sound[0][0]: _failure(error, pb.TritonError.INTERNAL)}
            # Which of them is to blame is seen by asking each alone.
            return {place: found for item in sound for place, found in self._answer([item]).items()}

    def _answer_together(self, sound: Sound) -> dict[int, Any]:
        names = [name for name in self._outputs if any(name in wanted for _, _, wanted in sound)]
        feed = {name: _joined([arrays[name] for _, arrays, _ in sound]) for name in self._inputs}
        rows = [len(arrays[self._inputs[0]]) for _, arrays, _ in sound]
        computed = dict(zip(names, self.run(feed, names), strict=True))
        for name, array in computed.items():
            _refuse_unusable(name, array, rows=sum(rows))
        spans = pairwise(accumulate(rows, initial=0))
        return {
            place: _success({name: computed[name][start:end] for name in wanted})
            for (place, _, wanted), (start, end) in zip(sound, spans, strict=True)
        }


def parameter(config: Mapping[str, Any], name: str, default: str) -> str:
    """A parameter of the model's config.pbtxt."""
    value: str = config.get("parameters", {}).get(name, {}).get("string_value", default)
    return value


def _refuse_unusable(name: str, array: npt.NDArray[Any], *, rows: int) -> None:
    if len(array) != rows:
        raise UnusableAnswer(f"output {name!r} has {len(array)} rows for a batch of {rows}")
    if not np.isfinite(array).all():
        raise UnusableAnswer(f"output {name!r} holds values that are no numbers")


def _end_with_server() -> "subprocess.Popen[bytes]":
    """Have this process ended when the server is gone.

    Triton's stub notices a killed server, but one in the middle of a run waits for ever to hand its
    answer over, and holds the interpreter's lock as it waits: only another process can end it.
    """
    return subprocess.Popen(
        ["sh", "-c", _END_WITH_PARENT, "sh", str(os.getpid()), str(os.getppid())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _joined(arrays: Sequence[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _success(outputs: Arrays) -> Any:
    return pb.InferenceResponse([pb.Tensor(name, array) for name, array in outputs.items()])


def _failure(error: Exception, code: Any) -> Any:
    return pb.InferenceResponse([], pb.TritonError(str(error), code))
