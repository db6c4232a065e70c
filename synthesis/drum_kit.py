"""A synthetic drum kit: every drum a seeded one-shot, struck at its place in the stereo picture."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from synthesis import rhythm
from synthesis.score import Note
from synthesis.signal import (
    SAMPLE_RATE_HZ,
    Signal,
    add_at,
    band_noise,
    decay,
    pan,
    phase,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drum:
    shot: Signal
    position: float


def play(notes: tuple[Note, ...], rng: np.random.Generator, *, samples: int) -> Signal:
    """The drum part as stereo (2, samples)."""
    kit = _build(rng)
    track = np.zeros((2, samples), dtype=np.float32)
    for note in notes:
        drum = kit[note.pitch]
        loudness = np.float32(note.velocity**1.5)
        add_at(track, pan(drum.shot * loudness, position=drum.position), start_s=note.start_s)
    return track


def _build(rng: np.random.Generator) -> dict[int, _Drum]:
    recipes: dict[int, tuple[Callable[[], Signal], float]] = {
        rhythm.KICK: (lambda: _kick(rng), 0.0),
        rhythm.SNARE: (lambda: _snare(rng), 0.1),
        rhythm.CLAP: (lambda: _clap(rng), -0.1),
        rhythm.SIDE_STICK: (lambda: _woodblock(rng, frequency_hz=1_700), 0.15),
        rhythm.CLOSED_HAT: (lambda: _cymbal(rng, ring_s=0.03, low_hz=7_000) * 0.5, 0.35),
        rhythm.OPEN_HAT: (lambda: _cymbal(rng, ring_s=0.15, low_hz=6_500) * 0.45, 0.35),
        rhythm.RIDE: (lambda: _cymbal(rng, ring_s=0.25, low_hz=4_500) * 0.35, -0.4),
        rhythm.CRASH: (lambda: _cymbal(rng, ring_s=0.6, low_hz=3_500) * 0.6, -0.5),
        rhythm.TAMBOURINE: (lambda: _cymbal(rng, ring_s=0.05, low_hz=8_500) * 0.4, -0.6),
        rhythm.COWBELL: (lambda: _woodblock(rng, frequency_hz=560), 0.4),
    }
    for index, key in enumerate(rhythm.TOMS):
        frequency_hz = 190 * 0.8**index
        recipes[key] = (_tom_recipe(rng, frequency_hz), 0.5 - 0.3 * index)
    return {key: _Drum(shot=make(), position=position) for key, (make, position) in recipes.items()}


def _tom_recipe(rng: np.random.Generator, frequency_hz: float) -> Callable[[], Signal]:
    return lambda: _swept(rng, high_hz=frequency_hz * 1.6, low_hz=frequency_hz, ring_s=0.12) * 0.8


def _swept(rng: np.random.Generator, *, high_hz: float, low_hz: float, ring_s: float) -> Signal:
    samples = int(ring_s * 7 * SAMPLE_RATE_HZ)
    sweep = decay(samples, half_life_s=float(rng.uniform(0.008, 0.02)))
    frequency_hz = low_hz + (high_hz - low_hz) * sweep
    tone = np.sin(2 * np.pi * phase(frequency_hz, samples=samples)).astype(np.float32)
    return tone * decay(samples, half_life_s=ring_s)


def _kick(rng: np.random.Generator) -> Signal:
    body = _swept(
        rng,
        high_hz=float(rng.uniform(140, 320)),
        low_hz=float(rng.uniform(42, 62)),
        ring_s=float(rng.uniform(0.05, 0.12)),
    )
    click = band_noise(rng, len(body), low_hz=1_000, high_hz=5_000)
    return body * 1.3 + click * decay(len(body), half_life_s=0.003) * float(rng.uniform(0.05, 0.3))


def _snare(rng: np.random.Generator) -> Signal:
    samples = int(0.5 * SAMPLE_RATE_HZ)
    shell_hz = float(rng.uniform(160, 230))
    shell = np.sin(2 * np.pi * phase(shell_hz, samples=samples)).astype(np.float32)
    wires = band_noise(rng, samples, low_hz=float(rng.uniform(900, 2_000)), high_hz=11_000)
    ring_s = float(rng.uniform(0.03, 0.07))
    return 0.6 * shell * decay(samples, half_life_s=0.04) + 0.35 * wires * decay(
        samples, half_life_s=ring_s
    )


def _clap(rng: np.random.Generator) -> Signal:
    samples = int(0.4 * SAMPLE_RATE_HZ)
    noise = band_noise(rng, samples, low_hz=900, high_hz=4_500) * 0.4
    clap = np.zeros(samples, dtype=np.float32)
    for delay_s, ring_s in ((0.0, 0.005), (0.011, 0.005), (0.023, 0.05)):
        add_at(clap, noise * decay(samples, half_life_s=ring_s), start_s=delay_s)
    return clap


def _cymbal(rng: np.random.Generator, *, ring_s: float, low_hz: float) -> Signal:
    samples = int(min(ring_s * 8, 2.5) * SAMPLE_RATE_HZ)
    hiss = band_noise(rng, samples, low_hz=low_hz * float(rng.uniform(0.85, 1.15)), high_hz=15_000)
    return hiss * decay(samples, half_life_s=ring_s) * np.float32(0.5)


def _woodblock(rng: np.random.Generator, *, frequency_hz: float) -> Signal:
    samples = int(0.25 * SAMPLE_RATE_HZ)
    base_hz = frequency_hz * float(rng.uniform(0.9, 1.1))
    tone = sum(np.sin(2 * np.pi * phase(base_hz * ratio, samples=samples)) for ratio in (1.0, 1.48))
    return 0.35 * np.asarray(tone, dtype=np.float32) * decay(samples, half_life_s=0.02)
