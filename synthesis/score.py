"""Composition: a seeded pop song as notes, before any sound."""

from dataclasses import dataclass

import numpy as np

from synthesis import rhythm

_MODES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
_PROGRESSIONS = {
    "major": ((0, 4, 5, 3), (0, 5, 3, 4), (5, 3, 0, 4), (0, 3, 0, 4), (0, 2, 3, 4), (3, 4, 2, 5)),
    "minor": ((0, 5, 2, 6), (0, 3, 5, 4), (0, 6, 5, 6), (0, 3, 0, 6), (0, 2, 5, 6), (5, 6, 0, 0)),
}
_BEATS_PER_BAR = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """One struck note. `pitch` is a MIDI key (of the General MIDI percussion map for drums)."""

    start_s: float
    duration_s: float
    pitch: int
    velocity: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """The parts of a song. `chords` are held or strummed, `figure` moves over them."""

    tempo_bpm: float
    duration_s: float
    drums: tuple[Note, ...]
    bass: tuple[Note, ...]
    chords: tuple[Note, ...]
    figure: tuple[Note, ...]
    melody: tuple[Note, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Harmony:
    tonic: int
    scale: tuple[int, ...]
    progression: tuple[int, ...]

    def degree(self, step: int) -> int:
        octave, index = divmod(step, len(self.scale))
        return self.tonic + 12 * octave + self.scale[index]

    def root_step(self, bar: int) -> int:
        return self.progression[bar % len(self.progression)]

    def chord(self, bar: int) -> list[int]:
        root = self.root_step(bar)
        return [self.degree(root + step) for step in (0, 2, 4)]


def compose(rng: np.random.Generator, *, duration_s: float) -> Score:
    """A song of `duration_s` in one key and tempo, four bars to a phrase."""
    tempo_bpm = float(rng.uniform(78, 138))
    bar_s = _BEATS_PER_BAR * 60.0 / tempo_bpm
    bars = int(np.ceil(duration_s / bar_s))
    mode = "major" if rng.random() < 0.5 else "minor"
    harmony = _Harmony(
        tonic=int(rng.integers(0, 12)),
        scale=_MODES[mode],
        progression=_PROGRESSIONS[mode][rng.integers(len(_PROGRESSIONS[mode]))],
    )
    parts = {
        "drums": _drums(rng, bars=bars),
        "bass": _bass(rng, harmony, bars=bars),
        "chords": _chords(rng, harmony, bars=bars),
        "figure": _figure(rng, harmony, bars=bars),
        "melody": _melody(rng, harmony, bars=bars),
    }
    timed = {
        name: _in_seconds(rng, hits, step_s=bar_s / rhythm.STEPS, until_s=duration_s)
        for name, hits in parts.items()
    }
    return Score(tempo_bpm=tempo_bpm, duration_s=duration_s, **timed)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hit:
    """A note on the grid of sixteenths."""

    step: float
    length: float
    pitch: int
    velocity: float


def _in_seconds(
    rng: np.random.Generator, hits: list[_Hit], *, step_s: float, until_s: float
) -> tuple[Note, ...]:
    humanised = rng.normal(0.0, 0.004, size=len(hits))
    notes = []
    for hit, jitter_s in zip(hits, humanised, strict=True):
        start_s = max(0.0, hit.step * step_s + float(jitter_s))
        if start_s < until_s:
            duration_s = min(hit.length * step_s, until_s - start_s)
            velocity = min(max(hit.velocity, 0.1), 1.0)
            notes.append(
                Note(start_s=start_s, duration_s=duration_s, pitch=hit.pitch, velocity=velocity)
            )
    return tuple(notes)


def _drums(rng: np.random.Generator, *, bars: int) -> list[_Hit]:
    groove = rhythm.groove(rng)
    hits = []
    for bar in range(bars):
        pattern = groove.fill(rng) if bar % 4 == 3 and rng.random() < 0.6 else groove.bar(rng)
        if bar % 4 == 0 and rng.random() < 0.7:
            pattern = [*pattern, (0, rhythm.CRASH, 0.8)]
        hits += [
            _Hit(step=bar * rhythm.STEPS + step, length=2, pitch=key, velocity=level)
            for step, key, level in pattern
        ]
    return hits


def _bass(rng: np.random.Generator, harmony: _Harmony, *, bars: int) -> list[_Hit]:
    riff = rhythm.bass_riff(rng)
    base = 36 if harmony.tonic < 5 else 24
    hits = []
    for bar in range(bars):
        root = harmony.root_step(bar)
        for step, length, interval in riff:
            pitch = base + harmony.degree(root + interval)
            pitch -= 12 if pitch > 52 else 0
            velocity = float(rng.uniform(0.75, 1.0))
            start = bar * rhythm.STEPS + step
            hits.append(_Hit(step=start, length=length, pitch=pitch, velocity=velocity))
    return hits


def _chords(rng: np.random.Generator, harmony: _Harmony, *, bars: int) -> list[_Hit]:
    strokes = rhythm.strokes(rng)
    hits = []
    for bar in range(bars):
        voicing = sorted(55 + (pitch - 55) % 12 for pitch in harmony.chord(bar))
        if rng.random() < 0.5:
            voicing.append(voicing[0] + 12)
        for step, length in strokes:
            velocity = float(rng.uniform(0.6, 0.9))
            hits += [
                _Hit(step=bar * rhythm.STEPS + step, length=length, pitch=pitch, velocity=velocity)
                for pitch in voicing
            ]
    return hits


def _figure(rng: np.random.Generator, harmony: _Harmony, *, bars: int) -> list[_Hit]:
    order = rhythm.arpeggio(rng)
    spacing = rhythm.STEPS / len(order)
    low = int(rng.choice([60, 67, 72]))
    hits = []
    for bar in range(bars):
        tones = sorted(low + (pitch - low) % 12 for pitch in harmony.chord(bar))
        ladder = [*tones, *(tone + 12 for tone in tones)]
        for index, rung in enumerate(order):
            if rng.random() < 0.9:
                velocity = float(rng.uniform(0.55, 0.9))
                step = bar * rhythm.STEPS + index * spacing
                length = spacing * float(rng.uniform(0.7, 1.4))
                hits.append(_Hit(step=step, length=length, pitch=ladder[rung], velocity=velocity))
    return hits


def _melody(rng: np.random.Generator, harmony: _Harmony, *, bars: int) -> list[_Hit]:
    centre = int(rng.integers(52, 70))
    step_of_centre = 7 * ((centre - harmony.tonic) // 12)
    place = int(rng.integers(0, 7))
    hits = []
    for bar in range(bars):
        chord_steps = [harmony.root_step(bar) + third for third in (0, 2, 4)]
        for start, length in rhythm.phrase(rng, closing=bar % 4 == 3):
            place = _next_place(rng, place, chord_steps if start == 0 else None)
            hits.append(
                _Hit(
                    step=bar * rhythm.STEPS + start,
                    length=length,
                    pitch=harmony.degree(step_of_centre + place),
                    velocity=float(rng.uniform(0.75, 1.0)),
                )
            )
    return hits


def _next_place(rng: np.random.Generator, place: int, targets: list[int] | None) -> int:
    if targets is not None:
        candidates = [step + octave for step in targets for octave in (-7, 0, 7)]
        place = min(candidates, key=lambda step: abs(step - place))
    else:
        place += int(rng.choice([-2, -1, -1, 0, 1, 1, 2, 3]))
    return int(np.clip(place, -3, 8))
