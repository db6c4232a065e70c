"""Seconds per segment of ONNX Runtime, OpenVINO and PyTorch, on one machine in the same minutes.

Every sample is a process of its own, the engines take turns, and the whole is done with glibc's
default allocator thresholds and with raised ones, which cost or save PyTorch up to a quarter.

    python -m bench.engines NAME --repository DIR --checkpoint FILE
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from bench import record
from exporters.card_writer import ModelFolder
from exporters.openvino_engine import precisions_here
from exporters.signals import music_like
from exporters.specification import WaveformSpecification
from stemcore.model_card import ModelCard

VERSIONED = ("onnxruntime", "openvino", "torch", "demucs")
ENGINES = ("onnxruntime", "openvino-fp32", "openvino-bf16", "pytorch")
_RAISED_BYTES = str(1 << 30)
ALLOCATORS = {
    "default": {},
    "raised": {"MALLOC_MMAP_THRESHOLD_": _RAISED_BYTES, "MALLOC_TRIM_THRESHOLD_": _RAISED_BYTES},
}
Samples = dict[str, dict[str, list[float]]]


def main() -> None:
    """Measure and write `bench/results/engines-NAME.json`."""
    options = _parser().parse_args()
    folder = ModelFolder(options.repository / options.name)
    card = folder.read_card()
    with tempfile.TemporaryDirectory() as scratch:
        segments = Path(scratch) / "segments.npy"
        np.save(segments, _segments(card, count=options.segments))
        models = dict.fromkeys(ENGINES, folder.model)
        models["pytorch"] = _package(options.checkpoint, Path(scratch) / "checkpoint.th")
        samples = take_turns(models, segments, rounds=options.rounds)
    print(record.write(f"engines-{options.name}", _figures(card, options, samples)))
    _print_table(samples)


def take_turns(models: dict[str, Path], segments: Path, *, rounds: int) -> Samples:
    """Samples by allocator and engine, one process each, in every round all of them."""
    samples: Samples = {allocator: {engine: [] for engine in ENGINES} for allocator in ALLOCATORS}
    for _ in range(rounds):
        for allocator, environment in ALLOCATORS.items():
            for engine in ENGINES:
                seconds = _measure(engine, models[engine], segments, environment)
                samples[allocator][engine].append(seconds)
    return samples


def _measure(engine: str, model: Path, segments: Path, environment: dict[str, str]) -> float:
    """Median over the segments of one process, its warm-up apart."""
    command = [sys.executable, "-m", "bench.raw_engine", engine, model, segments, "--stride", "1"]
    done = subprocess.run(
        command, env=os.environ | environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return statistics.median(json.loads(done.stdout))


def _package(checkpoint: Path, target: Path) -> Path:
    """Demucs' `.th` form, which its own loader reads."""
    if checkpoint.suffix == ".th":
        return checkpoint
    subprocess.run([sys.executable, "-m", "bench.demucs_package", checkpoint, target], check=True)
    return target


def _segments(card: ModelCard, *, count: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    specification = WaveformSpecification(
        name=card.name,
        family=card.family,
        stems=card.stem_names,
        sample_rate=card.sample_rate,
        channels=card.channels,
        segment_samples=card.segment_samples,
        parameters=card.parameters,
    )
    return np.stack([music_like(specification)] * count)


def _figures(card: ModelCard, options: argparse.Namespace, samples: Samples) -> dict[str, Any]:
    return {
        "model": card.name,
        "parameters": card.parameters,
        "files": dict(card.files),
        "segment_s": card.segment_s,
        "processes_per_figure": options.rounds,
        "segments_per_process": options.segments,
        "load_average_after": os.getloadavg()[0],
        "versions": {
            name: version(name) for name in ("onnxruntime", "openvino", "torch", "demucs")
        },
        "allocators": ALLOCATORS,
        "bf16_in_hardware": "bf16" in precisions_here(),
        "median_s_per_segment": _medians(samples),
        "samples_s": samples,
    }


def _medians(samples: Samples) -> dict[str, dict[str, float]]:
    return {
        allocator: {engine: round(statistics.median(s), 3) for engine, s in engines.items()}
        for allocator, engines in samples.items()
    }


def _print_table(samples: Samples) -> None:
    for allocator, engines in _medians(samples).items():
        print(
            f"{allocator:8}", *(f"{engine} {seconds:.3f} s" for engine, seconds in engines.items())
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.engines", description=__doc__)
    parser.add_argument("name", help="of the exported model")
    parser.add_argument("--repository", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path, required=True, help=".safetensors or .th")
    parser.add_argument("--rounds", type=int, default=5, help="processes per figure")
    parser.add_argument("--segments", type=int, default=3, help="timed in each process")
    return parser


if __name__ == "__main__":
    main()
