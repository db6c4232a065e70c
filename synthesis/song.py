"""A whole song from a seed: composed, played, balanced, mixed."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from synthesis import drum_kit, instruments, voice
from synthesis.score import Score, compose
from synthesis.signal import SAMPLE_RATE_HZ, Signal, level, reverberated

STEMS = ("drums", "bass", "other", "vocals")
_SPREAD_DB = 4.0
_PEAK = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Song:
    """`stems` maps each name of STEMS to float32 (2, n); `mix` is their sum, peak at most 0.9."""

    seed: int
    sample_rate_hz: int
    stems: Mapping[str, Signal]
    mix: Signal


def song(*, seed: int, duration_s: float = 60.0) -> Song:
    """The song of `seed`; every stem within 8 dB of the loudest."""
    rng = np.random.default_rng(seed)
    score = compose(rng, duration_s=duration_s)
    samples = round(duration_s * SAMPLE_RATE_HZ)
    stems = balanced(_played(score, rng, samples=samples), rng)
    return Song(seed=seed, sample_rate_hz=SAMPLE_RATE_HZ, stems=stems, mix=mixed(stems))


def mixed(stems: Mapping[str, Signal]) -> Signal:
    """The sum of the stems, in the order of STEMS."""
    total = stems[STEMS[0]].copy()
    for name in STEMS[1:]:
        total += stems[name]
    return total


def _played(score: Score, rng: np.random.Generator, *, samples: int) -> dict[str, Signal]:
    drums = drum_kit.play(score.drums, rng, samples=samples)
    bass = instruments.play_bass(score.bass, rng, samples=samples)
    other = instruments.play_other(score.chords, score.figure, rng, samples=samples)
    vocals = voice.sing(score.melody, rng, samples=samples)
    room_s = float(rng.uniform(0.6, 1.8))
    return {
        "drums": drums,
        "bass": bass,
        "other": reverberated(other, rng, decay_s=room_s, wet=float(rng.uniform(0.1, 0.35))),
        "vocals": reverberated(vocals, rng, decay_s=room_s, wet=float(rng.uniform(0.15, 0.4))),
    }


def balanced(stems: dict[str, Signal], rng: np.random.Generator) -> dict[str, Signal]:
    """Every stem at a level of its own within 8 dB of the others, the mix below full scale."""
    gains = {
        name: 10 ** (rng.uniform(-_SPREAD_DB, _SPREAD_DB) / 20) / max(level(stem), 1e-9)
        for name, stem in stems.items()
    }
    scaled = {name: stem * np.float32(gains[name]) for name, stem in stems.items()}
    headroom = np.float32(_PEAK / max(float(np.abs(mixed(scaled)).max()), 1e-9))
    return {name: stem * headroom for name, stem in scaled.items()}
