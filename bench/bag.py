"""One stem of a bag against all four of it, through the one-machine stack.

`python -m bench.bag` makes four full-size HTDemucs from seeds (their speed does not depend on what
they have learnt) and the bag htdemucs_ft of them, verified. `--size tiny` tries the way.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from bench import record
from bench.running import running, separate, signed_in
from bench.songs import CACHE, EXPORTERS, ROOT, prepare_song
from stemcore.model_card import ModelCard
from stemyard.client import StemyardClient
from stemyard.stack.assembly import Stack
from stemyard.stack.settings import StackSettings

SONG_S = 240.0
SONG_SEED = 240
ONE = ("vocals",)
TARGET = {"at_least": 3.5, "hoped_for": 3.9}


def prepared_bag(size: str) -> Path:
    """The folder of the bag, exported and verified; kept between runs."""
    repository, name = CACHE / f"bag-{size}", f"htdemucs_ft-{size}"
    weights = [CACHE / f"bag-{size}-{seed}.safetensors" for seed in range(4)]
    for seed, path in enumerate(weights):
        if not path.exists():
            _exporters(
                "random-checkpoint", "--size", size, "--seed", str(seed), "--output", str(path)
            )
    chosen = ("--repository", str(repository), "--checkpoint", *map(str, weights))
    if not (repository / name / "card.json").exists():
        _exporters("export", "htdemucs", "--name", name, *chosen)
    if not card_of(repository / name).parity_passed:
        _exporters("verify", name, *chosen)
    return repository / name


def card_of(folder: Path) -> ModelCard:
    return ModelCard.from_json((folder / "card.json").read_text())


async def measured(folder: Path, song: Path, *, rounds: int) -> dict[str, Any]:
    """One stem and all stems in turns, so that both meet the same machine."""
    card = card_of(folder)
    settings = StackSettings(
        repository=folder.parent, default_model=folder.name, models=(folder.name,)
    )
    one: list[dict[str, Any]] = []
    every: list[dict[str, Any]] = []
    async with running(settings) as stack, signed_in(stack) as client:
        served = await _served_as(stack, folder.name)
        for _ in range(rounds):
            one.append(await run(stack, client, song, card, stems=ONE))
            every.append(await run(stack, client, song, card, stems=card.stem_names))
    seconds = {
        "one_stem_s": statistics.median(each["seconds"] for each in one),
        "all_stems_s": statistics.median(each["seconds"] for each in every),
    }
    return seconds | {
        "all_over_one": seconds["all_stems_s"] / seconds["one_stem_s"],
        "served_as": served,
        "one_stem": one,
        "all_stems": every,
    }


async def run(
    stack: Stack, client: StemyardClient, song: Path, card: ModelCard, *, stems: Sequence[str]
) -> dict[str, Any]:
    """One job: wall seconds, its ledger, and Triton's count of executions by model."""
    before = await executions(stack, card)
    job = await separate(client, song, model=card.name, stems=stems)
    after = await executions(stack, card)
    counts = {part: after[part] - before[part] for part in card.parts}
    return {"seconds": job["seconds"], "executions": counts, "ledger": job["ledger"]}


async def executions(stack: Stack, card: ModelCard) -> dict[str, int]:
    """Of each part since it was loaded, as the server itself counts them."""
    async with httpx.AsyncClient(base_url=stack.triton.http_address, trust_env=False) as client:
        answers = [await client.get(f"/v2/models/{part}/stats") for part in card.parts]
    return {
        part: answer.raise_for_status().json()["model_stats"][0]["execution_count"]
        for part, answer in zip(card.parts, answers, strict=True)
    }


async def _served_as(stack: Stack, name: str) -> str:
    """Engine and precision that the server chose."""
    async with httpx.AsyncClient(base_url=stack.triton.http_address, trust_env=False) as client:
        config = (await client.get(f"/v2/models/{name}/config")).raise_for_status().json()
    card = ModelCard.from_json(config["parameters"]["card"]["string_value"])
    return f"{card.engine} {card.precision}"


def _exporters(*arguments: str) -> None:
    CACHE.mkdir(parents=True, exist_ok=True)
    subprocess.run([EXPORTERS, "-m", "exporters", *arguments], cwd=ROOT, check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=("full", "tiny"), default="full")
    parser.add_argument("--song-s", type=float, default=SONG_S)
    parser.add_argument("--rounds", type=int, default=1)
    chosen = parser.parse_args()
    folder = prepared_bag(chosen.size)
    song = prepare_song(chosen.song_s, seed=SONG_SEED)
    figures = {
        "model": f"htdemucs_ft, {chosen.size} size, weights from seeds",
        "song_s": chosen.song_s,
        "target": TARGET,
        **asyncio.run(measured(folder, song, rounds=chosen.rounds)),
    }
    print(json.dumps(figures, indent=2))
    if chosen.size == "full":
        print(record.write("bag", figures))


if __name__ == "__main__":
    main()
