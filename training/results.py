"""A recorded evaluation: figures with the machine, commit and command that made them."""

import hashlib
import json
import logging
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from training import heldout
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

_log = logging.getLogger(__name__)
RESULTS_FILE = Path(__file__).parent / "results" / "held_out.json"
_MODEL = "model"
_EQUALISER = "equaliser"


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
        "commit": _commit(),
        "command": " ".join(command),
        "machine": _machine(),
        "level_spreads_db": [round(spread, 2) for spread in evaluation.spreads_db],
        "per_song_db": {
            name: [_rounded(song) for song in scores] for name, scores in evaluation.scores.items()
        },
    }


def evaluate_all(separators: Mapping[str, Separator], *, song_count: int) -> Evaluation:
    """Every separator on the first `song_count` held-out songs."""
    scores: dict[str, list[Scores]] = {name: [] for name in separators}
    spreads_db: list[float] = []
    for index in range(song_count):
        song = heldout.song(index)
        spreads_db.append(level_spread_db(song))
        for name, separator in separators.items():
            scores[name].append(score(separator, song))
        _log.info("song %d: %s", index, _rounded(scores[_MODEL][-1]))
    return Evaluation(scores=scores, spreads_db=spreads_db)


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
