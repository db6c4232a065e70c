"""A 4-minute song through the whole one-machine stack, against the bare engine and Demucs itself.

`python -m bench.end_to_end full` makes a full-size HTDemucs from a seed (its speed does not depend
on what it has learnt); `mini` takes the bundled model. Both start everything they measure.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from bench import record
from bench.running import running, separate, signed_in
from bench.songs import CACHE, EXPORTERS, ROOT, TRITON, prepare_song
from stemcore.model_card import ModelCard
from stemyard.client import StemyardClient
from stemyard.stack.settings import StackSettings

SONG_S = 240.0
# A virtual machine's speed drifts by a few percent within a minute, so song and raw engine take
# turns; the fastest engine's ratio has a target, the others' turns are few.
ROUNDS = {"openvino-bf16": 3}
SONG_SEED = 240
FULL = "htdemucs-full"
# Of the server's name for an engine, that of the bare one.
RAW_ENGINES = {
    "openvino-bf16": "openvino-bf16",
    "openvino-fp32": "openvino-fp32",
    "onnxruntime-fp32": "onnxruntime",
}
TARGETS = {
    "demucs_over_ours, bf16 by AMX": {"at_least": 3.0, "hoped_for": 6.0},
    "demucs_over_ours, bf16 by AVX512_BF16": {"at_least": 2.2, "hoped_for": 3.2},
    "demucs_over_ours, fp32 only": {"at_least": 1.2, "hoped_for": 1.9},
    "end_to_end_over_raw, fastest": {"at_most": 1.07, "hoped_for": 1.03},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is measured: a served model, and the checkpoint it was exported from."""

    name: str
    repository: Path
    checkpoint: Path | None

    @property
    def folder(self) -> Path:
        return self.repository / self.name

    @property
    def card(self) -> ModelCard:
        return ModelCard.from_json((self.folder / "card.json").read_text())


def full_size() -> Subject:
    """A full-size HTDemucs from a seed, exported and verified; kept between runs."""
    repository = CACHE / "models"
    weights = CACHE / f"{FULL}.safetensors"
    if not weights.exists():
        _exporters("random-checkpoint", "--size", "full", "--output", str(weights), "--seed", "0")
    chosen = ("--repository", str(repository), "--checkpoint", str(weights))
    if not _up_to_date(repository / FULL / "1" / "model.onnx"):
        _exporters("export", "htdemucs", "--name", FULL, *chosen)
    subject = Subject(name=FULL, repository=repository, checkpoint=_demucs_package(weights))
    if not (subject.card.parity_passed and subject.card.engines):
        _exporters("verify", FULL, *chosen)
    return subject


def _up_to_date(model: Path) -> bool:
    """Whether the file was made by the exporters as they are."""
    if not model.exists():
        return False
    made = model.stat().st_mtime
    return all(source.stat().st_mtime < made for source in (ROOT / "exporters").rglob("*.py"))


def mini() -> Subject:
    """The bundled model."""
    return Subject(name="stemyard-mini", repository=ROOT / "model_repository", checkpoint=None)


def cut_segments(path: Path, card: ModelCard) -> Path:
    """The song's segments as the model sees them, (segments, channels, samples); returns a .npy."""
    samples, _ = soundfile.read(path, dtype="float32", always_2d=True)
    mono = samples.mean(axis=1)
    normal = ((samples - mono.mean()) / mono.std(ddof=1)).T.astype(np.float32)
    starts = range(0, normal.shape[1], card.hop_samples())
    cuts = [normal[:, start : start + card.segment_samples] for start in starts]
    padded = [np.pad(cut, ((0, 0), (0, card.segment_samples - cut.shape[1]))) for cut in cuts]
    target = CACHE / f"segments-{card.segment_samples}.npy"
    np.save(target, np.stack(padded))
    return target


@asynccontextmanager
async def stack_of(
    subject: Subject, *, engine: str | None = None
) -> AsyncGenerator[StemyardClient]:
    """A client of a stack of its own; without an `engine` the server chooses."""
    if engine is not None:
        os.environ["STEMYARD_SERVING_TUNING__ENGINE"] = engine
    settings = StackSettings(
        repository=subject.repository, default_model=subject.name, models=(subject.name,)
    )
    async with running(settings) as stack, signed_in(stack) as client:
        yield client


def raw_seconds(engine: str, model: Path, segments: Path) -> list[float]:
    """Every fourth segment, in a process of its own."""
    python = EXPORTERS if engine == "pytorch" else TRITON
    command = [python, "-m", "bench.raw_engine", engine, model, segments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def demucs_seconds(subject: Subject, path: Path) -> float:
    """Demucs' command line on the same file and weights, start-up included."""
    assert subject.checkpoint is not None
    package = subject.checkpoint
    command = [EXPORTERS, "-m", "demucs", "-n", package.stem, "--repo", package.parent]
    command += ["--shifts", "0", "-d", "cpu", "-o", CACHE / "demucs-out", path]
    started = time.perf_counter()
    subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def measure_full() -> dict[str, Any]:
    """Every engine that the card allows: end to end over raw, and Demucs' command line over it.

    Demucs runs before and after each engine, and each is held against those two.
    """
    subject, path = full_size(), prepare_song(SONG_S, seed=SONG_SEED)
    segments = cut_segments(path, subject.card)
    assert subject.checkpoint is not None
    engines: dict[str, dict[str, Any]] = {}
    demucs_s = [demucs_seconds(subject, path)]
    for engine in RAW_ENGINES:
        evidence = subject.card.evidence_for(*engine.split("-"))
        if evidence is None or not evidence.passed:
            continue
        figures = asyncio.run(measure_engine(subject, path, segments, engine=engine))
        demucs_s.append(demucs_seconds(subject, path))
        ours_s = statistics.median(figures["end_to_end_s"])
        figures["demucs_over_ours"] = statistics.mean(demucs_s[-2:]) / ours_s
        engines[engine] = figures
    torch_s = statistics.median(raw_seconds("pytorch", subject.checkpoint, segments))
    return {
        "model": "HTDemucs, full size",
        "song_s": SONG_S,
        "segments": len(np.load(segments, mmap_mode="r")),
        "demucs_command_line_s": demucs_s,
        "raw_pytorch_s_per_segment": torch_s,
        "engines": engines,
        "targets": TARGETS,
        "bf16_by": _bf16_by(),
        "allocator": _allocator(),
    }


async def measure_engine(
    subject: Subject, path: Path, segments: Path, *, engine: str
) -> dict[str, Any]:
    """The song once or several times, the raw engine before and after each."""
    raw = partial(raw_seconds, RAW_ENGINES[engine], subject.folder / "1" / "model.onnx", segments)
    count = len(np.load(segments, mmap_mode="r"))
    async with stack_of(subject, engine=engine) as client:
        jobs: list[dict[str, Any]] = []
        raw_s = [await asyncio.to_thread(raw)]
        for _ in range(ROUNDS.get(engine, 1)):
            jobs.append(await separate(client, path, model=subject.name))
            raw_s.append(await asyncio.to_thread(raw))
    medians = [statistics.median(seconds) for seconds in raw_s]
    neighbours = [statistics.mean(pair) for pair in pairwise(medians)]
    songs_s = [job["seconds"] for job in jobs]
    over_raw = [s / (count * raw) for s, raw in zip(songs_s, neighbours, strict=True)]
    return {
        "raw_s_per_segment": medians,
        "end_to_end_s": songs_s,
        "end_to_end_over_raw": statistics.median(over_raw),
        "end_to_end_over_raw_each": over_raw,
        "ledger": jobs[-1]["ledger"],
    }


def _bf16_by() -> str:
    """The instructions that the row of the table belongs to."""
    flags = Path("/proc/cpuinfo").read_text().split()
    return next((flag for flag in ("amx_bf16", "avx512_bf16") if flag in flags), "nothing")


def measure_mini() -> dict[str, Any]:
    """Times real time of the bundled model, median of five songs on one stack."""

    async def five_songs() -> list[dict[str, Any]]:
        subject, path = mini(), prepare_song(SONG_S, seed=SONG_SEED)
        async with stack_of(subject) as client:
            return [await separate(client, path, model=subject.name) for _ in range(5)]

    jobs = asyncio.run(five_songs())
    median_s = statistics.median(job["seconds"] for job in jobs)
    return {
        "model": "stemyard-mini",
        "song_s": SONG_S,
        "end_to_end_s": [job["seconds"] for job in jobs],
        "times_real_time": SONG_S / median_s,
        "allocator": _allocator(),
        "ledger": jobs[-1]["ledger"],
    }


def _allocator() -> dict[str, str]:
    chosen = {key: value for key, value in os.environ.items() if key.startswith("MALLOC_")}
    return {"library": os.environ.get("LD_PRELOAD", "glibc"), **chosen}


def _exporters(*arguments: str) -> None:
    CACHE.mkdir(parents=True, exist_ok=True)
    subprocess.run([EXPORTERS, "-m", "exporters", *arguments], cwd=ROOT, check=True)


def _demucs_package(weights: Path) -> Path:
    """The same weights as the package that Demucs' command line reads from a folder."""
    # What follows a dash in the name of a package is a checksum to Demucs.
    target = CACHE / "demucs-repo" / f"{FULL.replace('-', '_')}.th"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        command = [EXPORTERS, "-m", "bench.demucs_package", weights, target]
        subprocess.run(command, cwd=ROOT, check=True)
    return target


MEASUREMENTS = {"full": measure_full, "mini": measure_mini}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("subject", choices=MEASUREMENTS)
    chosen = parser.parse_args().subject
    figures = MEASUREMENTS[chosen]()
    print(json.dumps(figures, indent=2))
    # A record for each kind of CPU, since each has targets of its own.
    name = f"{chosen}-{figures['bf16_by']}" if "bf16_by" in figures else chosen
    print(record.write(f"end_to_end-{name}", figures))


if __name__ == "__main__":
    main()
