"""A recorded evaluation: figures with the machine, commit and command that made them."""

import hashlib
import json
import platform
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from training import heldout, yardsticks
from training import model as models
from training.candidate import TrainedModel
from training.evaluate import (
    REQUIRED_GAIN_DB,
    Scores,
    Verdict,
    level_spread_db,
    medians,
    score,
    verdict,
)
from training.yardsticks import Separator

RESULTS_FILE = Path(__file__).parent / "results" / "held_out.json"
_MODEL = "model"
_EQUALISER = "equaliser"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """SDR in dB per separator and stem of one song, and how far its stems' levels spread."""

    scores: Mapping[str, Scores]
    spread_db: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """SDR in dB per stem of every separator ("model" and the yardsticks) on every song.

    `spreads_db` says how far the quietest stem of each song lies below the loudest.
    """

    scores: Mapping[str, Sequence[Scores]]
    spreads_db: Sequence[float]

    def verdict_on(self, name: str) -> Verdict:
        """The checker's verdict on one of the separators."""
        return verdict(self.scores[name], self.scores[_EQUALISER])

    @property
    def passed(self) -> bool:
        """The model passes and every yardstick fails."""
        return all(self.verdict_on(name).passed == (name == _MODEL) for name in self.scores)


def document(evaluation: Evaluation, *, weights: Path, command: Sequence[str]) -> dict[str, Any]:
    """The evaluation as it is committed."""
    return {
        "measure": "10 log10 |s|^2 / |s - e|^2, whole song, both channels; median over the songs",
        "songs": len(evaluation.scores[_MODEL]),
        "required_gain_over_equaliser_db": REQUIRED_GAIN_DB,
        "passed": evaluation.passed,
        "medians_db": {
            name: _rounded(medians(scores)) for name, scores in evaluation.scores.items()
        },
        "verdicts": {name: _rounded_verdict(evaluation, name) for name in evaluation.scores},
        "weights_sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        **circumstances(command),
        "level_spreads_db": [round(spread, 2) for spread in evaluation.spreads_db],
        "per_song_db": {
            name: [_rounded(song) for song in scores] for name, scores in evaluation.scores.items()
        },
    }


def evaluate_all(weights: Path, *, song_count: int, workers: int) -> Evaluation:
    """The model in `weights` and every yardstick on the first `song_count` held-out songs."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        judged = list(pool.map(judge, [weights] * song_count, range(song_count)))
    return Evaluation(
        scores={name: [song.scores[name] for song in judged] for name in judged[0].scores},
        spreads_db=[song.spread_db for song in judged],
    )


def judge(weights: Path, index: int) -> Judgement:
    """One held-out song, in one thread."""
    torch.set_num_threads(1)
    separators: dict[str, Separator] = {
        _MODEL: TrainedModel(models.load(weights)),
        **yardsticks.all_of(yardsticks.load_equaliser()),
    }
    song = heldout.song(index)
    return Judgement(
        scores={name: score(separator, song) for name, separator in separators.items()},
        spread_db=level_spread_db(song),
    )


def table(content: Mapping[str, Any]) -> str:
    """The medians as text, one separator a line."""
    lines = [
        f"{name:20}" + "".join(f"{stem:>8} {value:6.2f}" for stem, value in row.items())
        for name, row in content["medians_db"].items()
    ]
    margins = content["verdicts"][_MODEL]["margins_db"]
    above = "".join(f"{stem:>8} {value:+6.2f}" for stem, value in margins.items())
    outcome = "passed" if content["passed"] else "FAILED"
    return "\n".join([*lines, f"{'over the equaliser':20}{above}  {outcome}", ""])


def circumstances(command: Sequence[str]) -> dict[str, str]:
    """Of what, by what and where the figures were made."""
    return {"commit": _commit(), "command": " ".join(command), "machine": _machine()}


def save(content: Mapping[str, Any], path: Path) -> None:
    """Write the document as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")


def _rounded(scores: Scores) -> dict[str, float]:
    return {name: round(value, 3) for name, value in scores.items()}


def _rounded_verdict(evaluation: Evaluation, name: str) -> dict[str, Any]:
    found = asdict(evaluation.verdict_on(name))
    return found | {"margins_db": _rounded(found["margins_db"])}


def _commit() -> str:
    return subprocess.run(
        ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()


def _machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    described = [line for line in lines if "model name" in line]
    return f"{len(described)} x {described[0].split(':')[1].strip()}, {platform.platform()}"
