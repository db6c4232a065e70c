"""Rhythm: patterns on a bar of sixteen steps."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np

STEPS = 16
KICK, SNARE, CLAP, SIDE_STICK = 36, 38, 39, 37
CLOSED_HAT, OPEN_HAT, RIDE, CRASH = 42, 46, 51, 49
TAMBOURINE, COWBELL = 54, 56
TOMS = (50, 47, 45, 43)

_KICKS = ((0, 8), (0, 6, 8), (0, 4, 8, 12), (0, 7, 10), (0, 3, 8, 11), (0, 10), (0, 6, 10, 14))
_RIFFS = (
    tuple((step, 2, 0) for step in range(0, 16, 2)),
    ((0, 6, 0), (6, 2, 0), (8, 4, 4), (12, 4, 0)),
    ((0, 3, 0), (3, 3, 0), (6, 2, 4), (8, 3, 0), (11, 3, 0), (14, 2, 6)),
    ((0, 4, 0), (4, 4, 2), (8, 4, 4), (12, 4, 6)),
    ((0, 2, 0), (2, 2, 7), (4, 2, 0), (6, 2, 7), (8, 2, 0), (10, 2, 7), (12, 2, 0), (14, 2, 7)),
    ((0, 8, 0), (8, 6, 0), (14, 2, 4)),
)
_STROKES = (
    ((0, 16),),
    ((0, 8), (8, 8)),
    ((0, 4), (4, 4), (8, 4), (12, 4)),
    ((0, 3), (3, 3), (6, 4), (10, 6)),
    ((2, 2), (6, 2), (10, 2), (14, 2)),
    ((0, 6), (6, 6), (12, 4)),
)
_ARPEGGIOS = (
    (0, 1, 2, 3, 4, 3, 2, 1),
    (0, 2, 1, 2, 0, 2, 1, 2),
    (0, 1, 2, 3, 0, 1, 2, 3, 4, 3, 2, 1, 4, 3, 2, 1),
    (3, 2, 1, 0),
    (0, 2, 4, 5, 4, 2),
)
_PHRASES = (
    ((0, 4), (4, 4), (8, 6)),
    ((0, 2), (2, 2), (4, 4), (8, 2), (10, 6)),
    ((0, 3), (3, 3), (6, 2), (8, 8)),
    ((2, 2), (4, 2), (6, 2), (8, 4), (12, 4)),
    ((0, 8), (8, 4), (12, 4)),
    ((0, 2), (2, 2), (4, 2), (6, 2), (8, 4), (12, 2)),
)
_CLOSINGS = (((0, 12),), ((0, 4), (4, 8)), ((0, 6), (6, 6)))

_T = TypeVar("_T")
Pattern = list[tuple[int, int, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Groove:
    """A drummer's habits: bars and fills are drawn from them as (step, key, level)."""

    kicks: tuple[int, ...]
    backbeat: int
    cymbal: int
    spacing: int
    extra: int | None

    def bar(self, rng: np.random.Generator) -> Pattern:
        """One bar, a little different each time."""
        pattern: Pattern = [(step, KICK, 0.95) for step in self.kicks]
        pattern += [(step, self.backbeat, 0.9) for step in (4, 12)]
        pattern += [
            (step, self._cymbal(rng, step), 0.75 if step % 4 == 0 else float(rng.uniform(0.4, 0.6)))
            for step in range(0, STEPS, self.spacing)
        ]
        if self.extra is not None:
            pattern += [(step, self.extra, 0.5) for step in range(2, STEPS, 4)]
        if rng.random() < 0.3:
            pattern.append((int(rng.choice([7, 9, 15])), self.backbeat, 0.35))
        return pattern

    def fill(self, rng: np.random.Generator) -> Pattern:
        """Half a bar of the groove, then toms and snare."""
        pattern = [hit for hit in self.bar(rng) if hit[0] < 8]
        steps = range(8, STEPS, int(rng.choice([1, 2])))
        drums = (SNARE, *TOMS)
        return pattern + [
            (step, drums[int((step - 8) / 8 * len(drums))], float(rng.uniform(0.6, 0.95)))
            for step in steps
        ]

    def _cymbal(self, rng: np.random.Generator, step: int) -> int:
        opens = self.cymbal == CLOSED_HAT and step % 8 == 6 and rng.random() < 0.3
        return OPEN_HAT if opens else self.cymbal


def groove(rng: np.random.Generator) -> Groove:
    """A groove for one song."""
    return Groove(
        kicks=_one_of(rng, _KICKS),
        backbeat=int(rng.choice([SNARE, SNARE, SNARE, CLAP, SIDE_STICK])),
        cymbal=int(rng.choice([CLOSED_HAT, CLOSED_HAT, CLOSED_HAT, RIDE])),
        spacing=int(rng.choice([1, 2, 2, 4])),
        extra=[None, None, None, TAMBOURINE, COWBELL][rng.integers(5)],
    )


def bass_riff(rng: np.random.Generator) -> tuple[tuple[int, int, int], ...]:
    """(step, length, scale steps above the root) of one bar."""
    return _one_of(rng, _RIFFS)


def strokes(rng: np.random.Generator) -> tuple[tuple[int, int], ...]:
    """(step, length) of the chords of one bar."""
    return _one_of(rng, _STROKES)


def arpeggio(rng: np.random.Generator) -> tuple[int, ...]:
    """Rungs of a six-rung ladder of chord tones, evenly spread over one bar."""
    return _one_of(rng, _ARPEGGIOS)


def phrase(rng: np.random.Generator, *, closing: bool) -> tuple[tuple[int, int], ...]:
    """(step, length) of one bar of melody; a closing bar ends in a rest."""
    return _one_of(rng, _CLOSINGS if closing else _PHRASES)


def _one_of(rng: np.random.Generator, options: tuple[_T, ...]) -> _T:
    return options[int(rng.integers(len(options)))]
