"""A singer: vowels as formants over a glottal wave, with vibrato, glides, breath and consonants."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synthesis.score import Note
from synthesis.signal import (
    SAMPLE_RATE_HZ,
    Signal,
    add_at,
    band_noise,
    decay,
    fade_edges,
    harmonics_below_nyquist,
    pan,
    phase,
    pitch_hz,
    read_table,
    table,
)

# First four formants in hertz of sung vowels, male voice (Peterson and Barney 1952, rounded).
_VOWELS = {
    "a": (730, 1090, 2440, 3400),
    "e": (530, 1840, 2480, 3500),
    "i": (270, 2290, 3010, 3700),
    "o": (570, 840, 2410, 3300),
    "u": (300, 870, 2240, 3200),
}
_GLIDE_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class _Singer:
    tract: float
    tilt: float
    vibrato_hz: float
    vibrato_depth: float
    breath: float


def sing(notes: tuple[Note, ...], rng: np.random.Generator, *, samples: int) -> Signal:
    """The melody as stereo (2, samples), a lead in the middle with a quiet double at the sides."""
    lead, double = (np.zeros(samples, dtype=np.float32) for _ in range(2))
    singer = _Singer(
        tract=float(rng.uniform(0.95, 1.25)),
        tilt=float(rng.uniform(0.6, 1.1)),
        vibrato_hz=float(rng.uniform(4.8, 6.2)),
        vibrato_depth=float(rng.uniform(0.005, 0.015)),
        breath=float(rng.uniform(0.01, 0.05)),
    )
    from_hz = pitch_hz(notes[0].pitch) if notes else 0.0
    for note in notes:
        add_at(lead, _syllable(note, singer, rng, from_hz=from_hz), start_s=note.start_s)
        detuned_hz = from_hz * float(rng.uniform(0.99, 1.01))
        late_s = note.start_s + float(rng.uniform(0.005, 0.025))
        add_at(double, _syllable(note, singer, rng, from_hz=detuned_hz), start_s=late_s)
        from_hz = pitch_hz(note.pitch)
    sides = np.stack([double, -double]) * np.float32(0.15)
    return pan(lead, position=float(rng.uniform(-0.1, 0.1))) + sides


def _syllable(note: Note, singer: _Singer, rng: np.random.Generator, *, from_hz: float) -> Signal:
    length = int(note.duration_s * SAMPLE_RATE_HZ) + 1
    time_s = np.arange(length) / SAMPLE_RATE_HZ
    target_hz = pitch_hz(note.pitch)
    swell = np.clip((time_s - 0.15) / 0.3, 0, 1) * singer.vibrato_depth
    vibrato = 1 + swell * np.sin(2 * np.pi * singer.vibrato_hz * time_s)
    frequency_hz = (target_hz + (from_hz - target_hz) * np.exp(-time_s / _GLIDE_S)) * vibrato
    at = phase(frequency_hz, samples=length)
    first, second = rng.choice(sorted(_VOWELS), size=2)
    opening = read_table(_vowel(first, target_hz, singer), at)
    closing = read_table(_vowel(second, target_hz, singer), at)
    blend = np.clip(time_s / max(note.duration_s, 1e-3) * 1.5 - 0.5, 0, 1).astype(np.float32)
    tone = opening * (1 - blend) + closing * blend
    tone += _breath(rng, length) * np.float32(singer.breath)
    sung = fade_edges(tone, attack_s=0.03, release_s=0.06)
    add_at(sung, _consonant(rng), start_s=0.0)
    return sung * np.float32(note.velocity)


def _vowel(name: str, frequency_hz: float, singer: _Singer) -> Signal:
    numbers = harmonics_below_nyquist(frequency_hz, at_most=120)
    return table(numbers**-singer.tilt * _formants(name, numbers * frequency_hz, singer))


def _formants(
    name: str, frequency_hz: npt.NDArray[np.float64], singer: _Singer
) -> npt.NDArray[np.float64]:
    gain = np.full_like(frequency_hz, 0.02)
    for centre, weight in zip(_VOWELS[name], (1.0, 0.7, 0.35, 0.2), strict=True):
        centre_hz = centre * singer.tract
        bandwidth_hz = 60 + 0.06 * centre_hz
        gain += weight / (1 + ((frequency_hz - centre_hz) / bandwidth_hz) ** 2)
    return gain


def _breath(rng: np.random.Generator, length: int) -> Signal:
    return rng.standard_normal(length, dtype=np.float32)


def _consonant(rng: np.random.Generator) -> Signal:
    length = int(float(rng.uniform(0.03, 0.09)) * SAMPLE_RATE_HZ)
    low_hz = float(rng.choice([500, 1_500, 3_500, 5_000]))
    noise = band_noise(rng, length, low_hz=low_hz, high_hz=low_hz * 2.2)
    shaped = noise * decay(length, half_life_s=0.02) * np.float32(rng.uniform(0.0, 0.25))
    return fade_edges(shaped, attack_s=0.004, release_s=0.01)
