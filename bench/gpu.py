"""GPU engines side by side: PyTorch, ONNX Runtime and TensorRT, batches of 1 to 16.

One command on a machine with a GPU and this checkout (see requirements/exporters-gpu.in):

    python -m bench.gpu

draws full-size HTDemucs with opened LayerScale from a seed, exports it, converts it to mixed
precision, and times each engine in a process of its own with its samples on the device. Without a
GPU every row says `not measured`; `--device cpu` puts a CPU in its place, to try the benchmark.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from bench import record
from bench.gpu_engines import ENGINES, Subject
from exporters.engine import OnnxEngine
from exporters.export import export_model
from exporters.htdemucs.checkpoint import RANDOM_WEIGHTS, TRAINED_ON, save_checkpoint
from exporters.htdemucs.family import load_htdemucs
from exporters.htdemucs.random_weights import SIZES, random_htdemucs
from exporters.mixed_precision import to_mixed_precision
from exporters.parity import snr_db
from exporters.signals import trial_signals
from exporters.specification import WaveformSpecification
from stemcore.gpus import visible_gpus
from stemcore.model_card import ModelCard

NOT_MEASURED = "not measured"
BATCHES = (1, 2, 4, 8, 16)
WANTED_TIMES_REAL_TIME = 500
CACHE = Path(".cache/bench/gpu")
PACKAGES = ("torch", "onnxruntime-gpu", "onnxruntime", "tensorrt", "tensorrt-cu13", "demucs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Seconds per batch; a batch of segments brings `batch * hop` of new audio."""

    engine: str
    batch: int
    seconds: float
    times_real_time: float
    memory_mib: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """An engine's rows and its worst stem against fp32 on a CPU; or why there are none."""

    rows: tuple[Row, ...] = ()
    snr_db: float | None = None
    reason: str | None = None


def main() -> None:
    """Measure, print the table, write `bench/results/gpu.json` (a stand-in's figures elsewhere)."""
    options = _parser().parse_args()
    _report(table_of(options), options)


def table_of(options: argparse.Namespace) -> Mapping[str, Measured]:
    if options.device == "cuda" and not visible_gpus():
        return dict.fromkeys(ENGINES, Measured(reason="no GPU is visible"))
    options.cache.mkdir(parents=True, exist_ok=True)
    subject, card = prepare(options)
    return {name: measured(name, subject, card, options.cache) for name in options.engines}


def prepare(options: argparse.Namespace) -> tuple[Subject, ModelCard]:
    """Makes what is measured; a cache that holds it already is used as it is."""
    checkpoint = options.cache / f"htdemucs-{options.size}.safetensors"
    if not checkpoint.exists():
        model = random_htdemucs(seed=0, **SIZES[options.size])
        save_checkpoint(model, checkpoint, provenance={TRAINED_ON: RANDOM_WEIGHTS})
    reference = load_htdemucs(str(checkpoint))
    folder = export_model(reference, name=f"htdemucs-{options.size}", repository=options.cache)
    card = folder.read_card()
    signals = trial_signals(WaveformSpecification.of(card))
    mixed, segment = options.cache / "mixed.onnx", options.cache / "segment.npy"
    exact = onnx.load(str(folder.model))
    onnx.save(to_mixed_precision(exact, signals=signals.values()), str(mixed))
    np.save(segment, signals["music"])
    subject = Subject(
        checkpoint=str(checkpoint),
        graphs={"fp32": str(folder.model), "fp16": str(mixed)},
        segment=str(segment),
        cache=str(options.cache),
        device=options.device,
        batches=tuple(options.batches),
        runs=options.runs,
    )
    return subject, card


def measured(engine: str, subject: Subject, card: ModelCard, scratch: Path) -> Measured:
    """In a process of its own: an engine that fails takes no other with it."""
    told, stems = scratch / "subject.json", scratch / f"{engine}.npz"
    subject.write(told)
    command = [sys.executable, "-m", "bench.gpu_engines", engine, told, "--stems", stems]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    hop_s = card.hop_samples() / card.sample_rate
    rows = tuple(_row(engine, line, hop_s=hop_s) for line in lines)
    reason = None if done.returncode == 0 else _last_line(done.stderr)
    agreement = _agreement_db(subject, stems) if rows else None
    return Measured(rows=rows, snr_db=agreement, reason=reason)


def _row(engine: str, line: Mapping[str, Any], *, hop_s: float) -> Row:
    return Row(
        engine=engine,
        batch=line["batch"],
        seconds=round(line["seconds"], 5),
        times_real_time=round(line["batch"] * hop_s / line["seconds"], 1),
        memory_mib=line["memory"] >> 20,
    )


def _agreement_db(subject: Subject, stems: Path) -> float:
    truth = OnnxEngine(Path(subject.graphs["fp32"])).run(np.load(subject.segment)[None])
    with np.load(stems) as found:
        return round(min(snr_db(truth[name][0], found[name]) for name in truth), 1)


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it ended without a word"


def _report(table: Mapping[str, Measured], options: argparse.Namespace) -> None:
    for line in lines(table, options.batches):
        print(line)
    figures = {
        "model": f"htdemucs-{options.size}, weights from a seed",
        "gpus": [gpu.name for gpu in visible_gpus()],
        "device": options.device,
        "versions": dict(_versions()),
        "wanted": {"tensorrt, times real time, at least": WANTED_TIMES_REAL_TIME},
        "best": best(table),
        "engines": {name: _shown(found) for name, found in table.items()},
    }
    if options.device == "cuda":
        print(record.write("gpu", figures))
    else:
        path = options.cache / "stand-in.json"
        path.write_text(json.dumps(figures, indent=2))
        print(path)


def lines(table: Mapping[str, Measured], batches: Sequence[int]) -> Iterator[str]:
    """The table as Markdown, a row for each engine and batch size."""
    yield "| engine | batch | s per batch | times real time | memory, MiB | worst stem, dB |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for name, found in table.items():
        known = {row.batch: row for row in found.rows}
        for batch in batches:
            row = known.get(batch)
            if row is None:
                yield f"| {name} | {batch} | {NOT_MEASURED}: {found.reason} | | | |"
                continue
            cells = (row.seconds, row.times_real_time, row.memory_mib, found.snr_db)
            yield f"| {name} | {batch} | {' | '.join(map(str, cells))} |"


def best(table: Mapping[str, Measured]) -> dict[str, float | str]:
    """The most times real time of each engine, over its batches."""
    return {
        name: max((row.times_real_time for row in found.rows), default=NOT_MEASURED)
        for name, found in table.items()
    }


def _shown(found: Measured) -> dict[str, Any]:
    rows = [
        {
            "batch": row.batch,
            "s_per_batch": row.seconds,
            "times_real_time": row.times_real_time,
            "memory_mib": row.memory_mib,
        }
        for row in found.rows
    ]
    reason = {} if found.reason is None else {NOT_MEASURED: found.reason}
    return {"worst_stem_db": found.snr_db, "batches": rows} | reason


def _versions() -> Iterator[tuple[str, str]]:
    for name in PACKAGES:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.gpu", description=__doc__)
    parser.add_argument("--size", choices=sorted(SIZES), default="full")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--batches", type=int, nargs="+", default=list(BATCHES))
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--runs", type=int, default=10, help="timed, of each batch size")
    parser.add_argument("--cache", type=Path, default=CACHE)
    return parser


if __name__ == "__main__":
    main()
