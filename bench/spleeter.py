"""A 4-minute song to four stems: Spleeter's own program on TensorFlow, and the one-machine stack.

`python -m bench.spleeter` makes full-size weights from a seed (speed does not depend on what they
have learnt), exports and verifies them, and starts everything it measures. Spleeter is timed at its
best: the second `Separator.separate` in one process, from an array in memory to arrays in memory.
Ours is the whole way of a job: upload, decoding, inference, joining, encoding, storing.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from bench import record
from bench.running import running, separate, signed_in
from bench.songs import CACHE, EXPORTERS, ROOT, prepare_song
from stemcore.model_card import ModelCard
from stemyard.stack.settings import StackSettings

SPLEETER = ROOT / ".envs" / "exporters-spleeter" / "bin" / "python"
ORIGINAL = "exporters.spleeter.original"
SONG_S = 240.0
SONG_SEED = 240
JOBS = 3
TARGET = {"at_least": 1.3, "hoped_for": 3.0}


def served(stems: int) -> tuple[Path, Path]:
    """The model's folder and its checkpoint, kept between runs."""
    checkpoint = CACHE / f"spleeter-{stems}stems"
    folder = CACHE / "models" / f"spleeter-{stems}stems"
    if not (checkpoint / "checkpoint").exists():
        configuration = f"spleeter:{stems}stems"
        chosen = ("--configuration", configuration, "--output", str(checkpoint))
        _run(SPLEETER, ORIGINAL, "random-checkpoint", *chosen)
    where = ("--repository", str(folder.parent), "--checkpoint", str(checkpoint))
    if not folder.exists():
        _run(EXPORTERS, "exporters", "export", "spleeter", "--name", folder.name, *where)
    if not _card(folder).parity_passed:
        _run(EXPORTERS, "exporters", "verify", folder.name, *where)
    return folder, checkpoint


def tensorflow_seconds(checkpoint: Path, song: Path) -> list[float]:
    """Of the first and the second separation in one process of Spleeter's environment."""
    samples, _ = soundfile.read(song, dtype="float32", always_2d=True)
    array = CACHE / "spleeter-song.npy"
    np.save(array, samples)
    command = [SPLEETER, "-m", "bench.spleeter_original", checkpoint, array]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


async def stack_jobs(folder: Path, song: Path) -> list[dict[str, Any]]:
    """The same song, one job after the other, on a stack of its own."""
    settings = StackSettings(
        repository=folder.parent, default_model=folder.name, models=(folder.name,)
    )
    async with running(settings) as stack, signed_in(stack) as client:
        return [await separate(client, song, model=folder.name) for _ in range(JOBS)]


def measure(stems: int, song_s: float) -> dict[str, Any]:
    folder, checkpoint = served(stems)
    song = prepare_song(song_s, seed=SONG_SEED)
    before = tensorflow_seconds(checkpoint, song)
    jobs = asyncio.run(stack_jobs(folder, song))
    after = tensorflow_seconds(checkpoint, song)
    original_s = statistics.mean([before[1], after[1]])
    ours_s = statistics.median(job["seconds"] for job in jobs)
    return {
        "model": f"Spleeter, {stems} stems, full size",
        "song_s": song_s,
        "spleeter_s": {"before": before, "after": after, "second, both": original_s},
        "end_to_end_s": [job["seconds"] for job in jobs],
        "spleeter_over_ours": original_s / ours_s,
        "target": TARGET,
        "engines": [f"{e.engine}-{e.precision}" for e in _card(folder).engines],
        "ledger": jobs[-1]["ledger"],
    }


def _card(folder: Path) -> ModelCard:
    return ModelCard.from_json((folder / "card.json").read_text())


def _run(python: Path, module: str, *arguments: str) -> None:
    CACHE.mkdir(parents=True, exist_ok=True)
    subprocess.run([python, "-m", module, *arguments], cwd=ROOT, check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stems", type=int, choices=(2, 4, 5), default=4)
    parser.add_argument("--song-s", type=float, default=SONG_S)
    options = parser.parse_args()
    figures = measure(options.stems, options.song_s)
    print(json.dumps(figures, indent=2))
    if options.song_s == SONG_S:
        print(record.write(f"spleeter-{options.stems}stems", figures))


if __name__ == "__main__":
    main()
