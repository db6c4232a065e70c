"""The checker: SDR over whole held-out songs, and the rule that a model must pass."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median

import numpy as np

from synthesis import STEMS
from synthesis.signal import Signal, level
from training.songs import RenderedSong
from training.yardsticks import Separator

# Decibels that the median SDR must lie above the equaliser's.
REQUIRED_GAIN_DB = {"drums": 2.0, "bass": 2.0, "other": 1.0, "vocals": 2.0}

Scores = Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a separator passes, and by how many decibels each stem beats the equaliser."""

    passed: bool
    margins_db: Scores


def sdr_db(truth: Signal, estimate: Signal) -> float:
    """10 log10 |s|^2 / |s - e|^2 over both channels and the whole song."""
    error = truth.astype(np.float64) - estimate
    signal_energy = max(float(np.square(truth, dtype=np.float64).sum()), 1e-12)
    return 10 * float(np.log10(signal_energy / max(float(np.square(error).sum()), 1e-12)))


def score(separator: Separator, song: RenderedSong) -> dict[str, float]:
    """SDR of each stem of one song."""
    estimates = separator.separate(song.mix, truth=song.stems)
    return {name: sdr_db(song.stems[name], estimates[name]) for name in STEMS}


def level_spread_db(song: RenderedSong) -> float:
    """How far the quietest stem lies below the loudest."""
    levels = [level(stem) for stem in song.stems.values()]
    return 20 * float(np.log10(max(levels) / max(min(levels), 1e-9)))


def medians(scores: Iterable[Scores]) -> dict[str, float]:
    """Median over songs of each stem's SDR."""
    rows = list(scores)
    return {name: median(row[name] for row in rows) for name in STEMS}


def verdict(candidate: Iterable[Scores], equaliser: Iterable[Scores]) -> Verdict:
    """The rule: every stem's median SDR above the equaliser's by REQUIRED_GAIN_DB."""
    ours, theirs = medians(candidate), medians(equaliser)
    margins_db = {name: ours[name] - theirs[name] for name in STEMS}
    passed = all(margins_db[name] >= REQUIRED_GAIN_DB[name] for name in STEMS)
    return Verdict(passed=passed, margins_db=margins_db)
