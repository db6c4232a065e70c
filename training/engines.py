"""What each engine loses of the held-out songs: the served file against its own float32."""

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from exporters.engine import OnnxEngine
from exporters.openvino_engine import OpenvinoEngine, precisions_here
from exporters.rounding import RoundingEngine
from exporters.runs import Engine
from training import heldout, results
from training import model as models
from training.candidate import TrainedModel
from training.evaluate import Scores, medians, score

ENGINES_FILE = Path(__file__).parent / "results" / "engines.json"
OWN = "onnxruntime-fp32"
HALF = "fp16, every tensor rounded"


def judge_engines(
    weights: Path,
    served: Path,
    *,
    song_count: int,
    workers: int,
    command: Sequence[str],
    half: Path | None = None,
) -> dict[str, Any]:
    """SDR of every engine on the first `song_count` held-out songs, as it is committed.

    `served` is the exported file of the very model in `weights`, `half` what
    `python -m exporters.derive half` made of it: a GPU's fp16, judged without one.
    """
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        songs = [(weights, served, index, half) for index in range(song_count)]
        judged = list(pool.map(judge_song, *zip(*songs, strict=True)))
    return document(judged, served=served, command=command)


def judge_song(
    weights: Path, served: Path, index: int, half: Path | None = None
) -> Mapping[str, Scores]:
    """One held-out song by every engine of this environment and CPU, each in one thread."""
    torch.set_num_threads(1)
    song = heldout.song(index)
    return {
        name: score(separator(weights, engine), song)
        for name, engine in engines_of(served, half).items()
    }


def engines_of(served: Path, half: Path | None) -> Mapping[str, Engine]:
    """All that this environment and CPU can run the model by, by name."""
    others: dict[str, Engine] = {
        f"openvino-{precision}": OpenvinoEngine(served, precision=precision, threads=1)
        for precision in precisions_here()
    }
    if half is not None:
        others[HALF] = RoundingEngine(half, threads=1)
    return {OWN: OnnxEngine(served, threads=1), **others}


def separator(weights: Path, engine: Engine) -> TrainedModel:
    """Demucs' own loop, with the engine in the model's place."""
    model = models.load(weights)

    def run(mix: Tensor) -> Tensor:
        stems = engine.run(mix.numpy())
        return torch.stack([torch.from_numpy(stems[name]) for name in model.sources], dim=1)

    model.forward = run
    return TrainedModel(model)


def document(
    judged: Sequence[Mapping[str, Scores]], *, served: Path, command: Sequence[str]
) -> dict[str, Any]:
    """Figures, what each engine loses, and how they were made."""
    found = {name: medians(song[name] for song in judged) for name in judged[0]}
    lost = {
        name: {stem: found[OWN][stem] - sdr for stem, sdr in stems.items()}
        for name, stems in found.items()
        if name != OWN
    }
    return {
        "measure": "median SDR of the songs by ONNX Runtime in fp32, less the engine's",
        "songs": len(judged),
        "model_sha256": hashlib.sha256(served.read_bytes()).hexdigest(),
        "medians_db": _rounded(found),
        "lost_db": _rounded(lost),
        "per_song_db": {
            name: _rounded({index: song[name] for index, song in enumerate(judged)})
            for name in judged[0]
        },
        **results.circumstances(command),
    }


def _rounded(rows: Mapping[Any, Scores]) -> dict[str, dict[str, float]]:
    return {
        str(name): {stem: round(value, 4) for stem, value in row.items()}
        for name, row in rows.items()
    }


def table(content: Mapping[str, Any]) -> str:
    """What each engine loses, a line each."""
    return "".join(
        f"{name:28}" + "".join(f"{stem:>8} {value:+8.4f} dB" for stem, value in lost.items()) + "\n"
        for name, lost in content["lost_db"].items()
    )
