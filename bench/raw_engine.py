"""Seconds per segment of a bare engine: one process, one model, the song's own segments.

Runs in the environment of the engine it measures and prints one JSON list.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

Run = Callable[[Any], object]


def onnxruntime_engine(model: Path) -> Run:
    """The session that the serving backend makes, called without Triton."""
    import onnxruntime  # noqa: PLC0415

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda segment: session.run(names, {"mix": segment})


def openvino_engine(model: Path, *, precision: str) -> Run:
    """What the serving backend compiles, called without Triton."""
    import openvino  # noqa: PLC0415

    core = openvino.Core()
    graph = core.read_model(model)
    sizes = [size.get_length() for size in list(graph.input("mix").partial_shape)[1:]]
    graph.reshape({"mix": [1, *sizes]})
    properties = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": "1",
        "INFERENCE_PRECISION_HINT": precision,
        "ENABLE_CPU_PINNING": False,
    }
    request = core.compile_model(graph, "CPU", properties).create_infer_request()
    return lambda segment: request.infer({"mix": segment}, share_inputs=True, share_outputs=True)


def pytorch_engine(checkpoint: Path) -> Run:
    """Demucs' own model in evaluation mode, as its command line runs it."""
    import torch  # noqa: PLC0415
    from demucs.states import load_model  # noqa: PLC0415

    model = load_model(checkpoint).eval()

    def run(segment: Any) -> object:
        with torch.no_grad():
            return model(torch.from_numpy(segment))

    return run


ENGINES: dict[str, Callable[[Path], Run]] = {
    "onnxruntime": onnxruntime_engine,
    "openvino-fp32": partial(openvino_engine, precision="f32"),
    "openvino-bf16": partial(openvino_engine, precision="bf16"),
    "pytorch": pytorch_engine,
}


def main() -> None:
    """Time every `--stride`-th segment after one warm-up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engine", choices=ENGINES)
    parser.add_argument("model", type=Path)
    parser.add_argument("segments", type=Path, help=".npy, float32 (segments, channels, samples)")
    parser.add_argument("--stride", type=int, default=4)
    arguments = parser.parse_args()
    run = ENGINES[arguments.engine](arguments.model)
    segments = np.load(arguments.segments, mmap_mode="r")
    run(np.array(segments[:1]))
    seconds = []
    for index in range(0, len(segments), arguments.stride):
        segment = np.array(segments[index : index + 1])
        started = time.perf_counter()
        run(segment)
        seconds.append(time.perf_counter() - started)
    json.dump(seconds, sys.stdout)


if __name__ == "__main__":
    main()
