"""Pitched instruments: bass, keys and pads, built from wavetables."""

from collections.abc import Callable

import numpy as np

from synthesis.score import Note
from synthesis.signal import (
    SAMPLE_RATE_HZ,
    Signal,
    add_at,
    decay,
    fade_edges,
    harmonics_below_nyquist,
    pan,
    phase,
    pitch_hz,
    read_table,
    table,
)

Voice = Callable[[float, int], Signal]


def play_bass(notes: tuple[Note, ...], rng: np.random.Generator, *, samples: int) -> Signal:
    """The bass part as stereo (2, samples), in the middle."""
    slope = float(rng.uniform(0.8, 1.6))
    half_life_s = float(rng.uniform(0.15, 0.6))
    odd_only = bool(rng.random() < 0.3)

    def voice(frequency_hz: float, length: int) -> Signal:
        numbers = harmonics_below_nyquist(frequency_hz, at_most=40)
        bright = numbers**-slope * (numbers % 2 if odd_only else 1)
        at = phase(frequency_hz, samples=length)
        fading = decay(length, half_life_s=half_life_s)
        dark = read_table(table(bright * numbers**-1.2), at)
        return (dark + fading * read_table(table(bright), at)) * (0.4 + 0.6 * fading)

    return _play(notes, voice, samples=samples, attack_s=0.004, release_s=0.03, position=0.0)


def play_other(
    chords: tuple[Note, ...],
    figure: tuple[Note, ...],
    rng: np.random.Generator,
    *,
    samples: int,
) -> Signal:
    """Chords on one instrument and a figure on another, left and right of the middle."""
    side = float(rng.uniform(0.2, 0.6)) * (1 if rng.random() < 0.5 else -1)
    bed = [_pad, _organ, _keys][rng.integers(3)](rng)
    lead = [_pluck, _keys, _bell][rng.integers(3)](rng)
    attack_s = float(rng.choice([0.005, 0.03, 0.15]))
    under = _play(chords, bed, samples=samples, attack_s=attack_s, release_s=0.12, position=-side)
    over = _play(figure, lead, samples=samples, attack_s=0.003, release_s=0.08, position=side)
    return under + over * np.float32(rng.uniform(0.7, 1.4))


def _pad(rng: np.random.Generator) -> Voice:
    detune = float(rng.uniform(0.002, 0.006))
    cutoff_hz = float(rng.uniform(1_200, 5_000))

    def voice(frequency_hz: float, length: int) -> Signal:
        numbers = harmonics_below_nyquist(frequency_hz, at_most=60)
        saw = table(1 / numbers / (1 + (numbers * frequency_hz / cutoff_hz) ** 4))
        offsets = (1 - detune, 1.0, 1 + detune)
        return 0.3 * sum_of(
            read_table(saw, phase(frequency_hz * offset, samples=length, start=0.37 * index))
            for index, offset in enumerate(offsets)
        )

    return voice


def _organ(rng: np.random.Generator) -> Voice:
    drawbars = rng.uniform(0, 1, size=8) * (1, 1, 0.6, 0.6, 0.3, 0.4, 0.2, 0.3)

    def voice(frequency_hz: float, length: int) -> Signal:
        return 0.5 * read_table(table(drawbars), phase(frequency_hz, samples=length))

    return voice


def _keys(rng: np.random.Generator) -> Voice:
    ratio, depth = float(rng.choice([1, 2, 7])), float(rng.uniform(0.1, 0.3))
    half_life_s = float(rng.uniform(0.3, 0.8))

    def voice(frequency_hz: float, length: int) -> Signal:
        at = phase(frequency_hz, samples=length)
        bend = depth * decay(length, half_life_s=0.2) * np.sin(2 * np.pi * ratio * at)
        tone = np.sin(2 * np.pi * (at + bend)).astype(np.float32)
        return 0.6 * tone * decay(length, half_life_s=half_life_s)

    return voice


def _pluck(rng: np.random.Generator) -> Voice:
    half_life_s, slope = float(rng.uniform(0.1, 0.4)), float(rng.uniform(0.7, 1.3))

    def voice(frequency_hz: float, length: int) -> Signal:
        numbers = harmonics_below_nyquist(frequency_hz, at_most=40)
        at = phase(frequency_hz, samples=length)
        bright = read_table(table(numbers**-slope), at) * decay(length, half_life_s=half_life_s / 4)
        dark = read_table(table(numbers ** -(slope + 1.5)), at)
        return (bright + dark) * decay(length, half_life_s=half_life_s) * np.float32(0.6)

    return voice


def _bell(rng: np.random.Generator) -> Voice:
    partials = (1.0, float(rng.uniform(2.7, 3.0)), float(rng.uniform(5.2, 5.6)))

    def voice(frequency_hz: float, length: int) -> Signal:
        return 0.5 * sum_of(
            np.sin(2 * np.pi * phase(min(frequency_hz * partial, 16_000), samples=length))
            * decay(length, half_life_s=0.5 / partial)
            / partial
            for partial in partials
        )

    return voice


def sum_of(signals: object) -> Signal:
    """The sum of an iterable of equally long signals, as float32."""
    return np.sum(np.stack(list(signals)), axis=0, dtype=np.float32)  # type: ignore[call-overload]


def _play(
    notes: tuple[Note, ...],
    voice: Voice,
    *,
    samples: int,
    attack_s: float,
    release_s: float,
    position: float,
) -> Signal:
    """Each distinct pitch and length is synthesised once and struck wherever it is asked for."""
    track = np.zeros(samples, dtype=np.float32)
    struck: dict[tuple[int, int], Signal] = {}
    for note in notes:
        length = int(round(note.duration_s + release_s, 2) * SAMPLE_RATE_HZ)
        key = (note.pitch, length)
        if key not in struck:
            sound = voice(pitch_hz(note.pitch), length)
            struck[key] = fade_edges(sound, attack_s=attack_s, release_s=release_s)
        add_at(track, struck[key] * np.float32(note.velocity), start_s=note.start_s)
    return pan(track, position=position)
