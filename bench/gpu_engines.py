"""The engines of the GPU table, each run in a process of its own.

    python -m bench.gpu_engines ENGINE SUBJECT.json

prints one JSON object per batch size. What cannot be measured ends the process with its reason.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import torch

from exporters.tensorrt_build import Batches, build_engine, find_tensorrt

Precision = Literal["fp32", "fp16"]
Arrays = dict[str, npt.NDArray[np.float32]]

WARM_UPS = 3
GPU_ALONE = "TensorRT runs on a GPU alone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One architecture in its forms: Demucs' checkpoint and the graphs, fp32 and mixed.

    `segment` is a .npy file [channels, samples]; `device` "cuda", or "cpu" as its stand-in.
    """

    checkpoint: str
    graphs: Mapping[Precision, str]
    segment: str
    cache: str
    device: str
    batches: tuple[int, ...]
    runs: int

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> "Subject":
        told = json.loads(path.read_text())
        return cls(**told | {"batches": tuple(told["batches"])})


class Engine(Protocol):
    def prepare(self, mix: npt.NDArray[np.float32]) -> None:
        """Puts a batch [batch, channels, samples] where the engine reads it."""
        ...

    def run(self) -> None:
        """One batch, to its end; samples stay on the device."""
        ...

    def stems(self) -> Arrays:
        """What the last run gave."""
        ...


class PyTorch:
    """Demucs' own model, its products by TF32 in fp32 and by autocast in fp16."""

    def __init__(self, subject: Subject, precision: Precision) -> None:
        from exporters.htdemucs.family import load_htdemucs  # noqa: PLC0415

        torch.backends.cuda.matmul.allow_tf32 = True
        reference = load_htdemucs(subject.checkpoint)
        self._names = reference.stems
        self._device = torch.device(subject.device)
        self._model = reference.model.to(self._device)
        self._half = precision == "fp16"

    def prepare(self, mix: npt.NDArray[np.float32]) -> None:
        self._mix = torch.from_numpy(mix).to(self._device)

    def run(self) -> None:
        cast = torch.autocast(self._device.type, torch.float16) if self._half else nullcontext()
        with torch.inference_mode(), cast:
            self._found = self._model(self._mix)
        _finish(self._device)

    def stems(self) -> Arrays:
        found = self._found.float().cpu().numpy()
        return {name: found[:, place] for place, name in enumerate(self._names)}


class OnnxRuntime:
    """A session whose inputs and outputs stay on the device."""

    def __init__(self, subject: Subject, precision: Precision, *, tensorrt: bool = False) -> None:
        self._device = subject.device
        if subject.device == "cuda":
            ort.preload_dlls()  # CUDA's own, which came with torch
        providers = _providers(subject, tensorrt=tensorrt)
        self._session = ort.InferenceSession(subject.graphs[precision], providers=providers)
        wanted = providers[0] if isinstance(providers[0], str) else providers[0][0]
        if wanted not in self._session.get_providers():
            raise SystemExit(f"this ONNX Runtime has no {wanted}")
        self._names = [output.name for output in self._session.get_outputs()]

    def prepare(self, mix: npt.NDArray[np.float32]) -> None:
        self._binding = self._session.io_binding()
        value = ort.OrtValue.ortvalue_from_numpy(mix, self._device, 0)
        self._binding.bind_ortvalue_input("mix", value)
        for name in self._names:
            self._binding.bind_output(name, self._device)

    def run(self) -> None:
        self._session.run_with_iobinding(self._binding)
        self._binding.synchronize_outputs()

    def stems(self) -> Arrays:
        arrays = self._binding.copy_outputs_to_cpu()
        return {n: np.asarray(a, np.float32) for n, a in zip(self._names, arrays, strict=True)}


class TensorRt:
    """TensorRT's own runtime over buffers of PyTorch: the engine alone."""

    def __init__(self, subject: Subject, precision: Precision) -> None:
        if subject.device != "cuda":
            raise SystemExit(GPU_ALONE)
        trt = find_tensorrt()
        plan = build_engine(
            trt,
            Path(subject.graphs[precision]),
            batches=Batches(largest=max(subject.batches)),
            timing_cache=Path(subject.cache) / "timing.cache",
        )
        self._runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        self._context = self._engine.create_execution_context()
        self._stream = torch.cuda.Stream()
        names = map(self._engine.get_tensor_name, range(self._engine.num_io_tensors))
        self._names = [name for name in names if name != "mix"]

    def prepare(self, mix: npt.NDArray[np.float32]) -> None:
        self._buffers = {"mix": torch.from_numpy(mix).cuda()}
        self._context.set_input_shape("mix", mix.shape)
        for name in self._names:
            shape = tuple(self._context.get_tensor_shape(name))
            self._buffers[name] = torch.empty(shape, device="cuda")
        for name, buffer in self._buffers.items():
            self._context.set_tensor_address(name, buffer.data_ptr())
        torch.cuda.synchronize()

    def run(self) -> None:
        self._context.execute_async_v3(self._stream.cuda_stream)
        self._stream.synchronize()

    def stems(self) -> Arrays:
        return {name: self._buffers[name].cpu().numpy() for name in self._names}


ENGINES: Mapping[str, Callable[[Subject], Engine]] = {
    "pytorch-fp32": lambda subject: PyTorch(subject, "fp32"),
    "pytorch-fp16": lambda subject: PyTorch(subject, "fp16"),
    "onnxruntime-fp32": lambda subject: OnnxRuntime(subject, "fp32"),
    "onnxruntime-fp16": lambda subject: OnnxRuntime(subject, "fp16"),
    "onnxruntime-tensorrt-fp16": lambda subject: OnnxRuntime(subject, "fp16", tensorrt=True),
    "tensorrt-fp32": lambda subject: TensorRt(subject, "fp32"),
    "tensorrt-fp16": lambda subject: TensorRt(subject, "fp16"),
}


def measure(engine: Engine, mix: npt.NDArray[np.float32], *, runs: int) -> float:
    """Median seconds of one batch."""
    engine.prepare(mix)
    for _ in range(WARM_UPS):
        engine.run()
    seconds: list[float] = []
    for _ in range(runs):
        started = time.perf_counter()
        engine.run()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def memory_bytes(device: str) -> int:
    """Of the GPU, all that is in use on it, allocators' reserves included; of a CPU, the peak."""
    if device == "cuda":
        free, total = torch.cuda.mem_get_info()
        return total - free
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def _providers(subject: Subject, *, tensorrt: bool) -> list[Any]:
    if subject.device == "cpu":
        if tensorrt:
            raise SystemExit(GPU_ALONE)
        return ["CPUExecutionProvider"]
    cuda = ("CUDAExecutionProvider", {"cudnn_conv_algo_search": "HEURISTIC", "use_tf32": "1"})
    if not tensorrt:
        return [cuda]
    shape = "x".join(map(str, np.load(subject.segment).shape))
    batches = {"min": 1, "opt": Batches().usual, "max": max(subject.batches)}
    shapes = {f"trt_profile_{k}_shapes": f"mix:{n}x{shape}" for k, n in batches.items()}
    kept = {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": subject.cache,
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": subject.cache,
    }
    return [("TensorrtExecutionProvider", shapes | kept), cuda]


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def main() -> None:
    """One line for each batch size; the stems of the first go to `--stems`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engine", choices=ENGINES)
    parser.add_argument("subject", type=Path)
    parser.add_argument("--stems", type=Path, help=".npz of what a batch of one gave")
    options = parser.parse_args()
    subject = Subject.read(options.subject)
    segment = np.load(subject.segment)
    engine = ENGINES[options.engine](subject)
    for batch in subject.batches:
        mix = np.repeat(segment[None], batch, axis=0)
        seconds = measure(engine, mix, runs=subject.runs)
        if options.stems is not None and batch == subject.batches[0]:
            np.savez(options.stems, **{n: a[0] for n, a in engine.stems().items()})
        line = {"batch": batch, "seconds": seconds, "memory": memory_bytes(subject.device)}
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
