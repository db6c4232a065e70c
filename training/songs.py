"""Songs played by a cast of sampled instruments and voices, with their stems."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from synthesis import Score, compose
from synthesis.signal import SAMPLE_RATE_HZ, Signal
from synthesis.song import balanced, mixed
from training import effects, singer, soundfont
from training.manifest import Instrument, Palette, Voice
from training.soundfont import Take, Track, drum_channel

_CHORDAL_PROGRAMS = frozenset(
    (*range(8), *range(16, 32), 46, *range(48, 52), *range(61, 64), *range(80, 96), 104, 106, 107)
)
_PADS = frozenset((*range(48, 52), *range(88, 96), *range(16, 21)))
# Melodic programs that sound like something when they play a bass line.
_LOW_RANGES = ((0, 6), (16, 20), (24, 32), (42, 47), (48, 52), (57, 64), (66, 71), (80, 88))
_LOW_PROGRAMS = frozenset(program for span in _LOW_RANGES for program in range(*span)) - {85}

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedSong:
    """`stems` maps drums, bass, other, vocals to float32 (2, n); `mix` is their sum."""

    stems: Mapping[str, Signal]
    mix: Signal
    sample_rate_hz: int = SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cast:
    kit: Instrument
    bass: Instrument
    chords: Instrument
    figure: Instrument
    bed: Instrument | None
    voice: Voice


@dataclass(frozen=True, slots=True, kw_only=True)
class _Session:
    """One song on its way: who plays what, and the chance that shapes its sound."""

    score: Score
    cast: _Cast
    rng: np.random.Generator


def with_low_melodic_basses(palette: Palette) -> Palette:
    """The palette with its melodic instruments as basses: far more timbres than the basses have."""
    return replace(palette, basses=_of(palette.melodic, _LOW_PROGRAMS))


def render(palette: Palette, *, seeds: list[int], duration_s: float) -> list[RenderedSong]:
    """One song per seed; all instruments of a font in one run of fluidsynth."""
    sessions = [_session(palette, seed=seed, duration_s=duration_s) for seed in seeds]
    takes = [take for session in sessions for take in _takes(session)]
    recordings = soundfont.render(takes)
    return [
        _produced(session, *recordings[3 * index : 3 * index + 3])
        for index, session in enumerate(sessions)
    ]


def _session(palette: Palette, *, seed: int, duration_s: float) -> _Session:
    rng = np.random.default_rng(seed)
    return _Session(score=compose(rng, duration_s=duration_s), cast=_cast(palette, rng), rng=rng)


def _cast(palette: Palette, rng: np.random.Generator) -> _Cast:
    return _Cast(
        kit=_one_of(rng, palette.kits),
        bass=_one_of(rng, palette.basses),
        chords=_one_of(rng, _of(palette.melodic, _CHORDAL_PROGRAMS)),
        figure=_one_of(rng, palette.melodic),
        bed=_one_of(rng, _of(palette.melodic, _PADS)) if rng.random() < 0.3 else None,
        voice=_one_of(rng, palette.voices),
    )


def _of(instruments: tuple[Instrument, ...], programs: frozenset[int]) -> tuple[Instrument, ...]:
    return tuple(instrument for instrument in instruments if instrument.program in programs)


def _one_of(rng: np.random.Generator, sources: Sequence[_T]) -> _T:
    return sources[int(rng.integers(len(sources)))]


def _takes(session: _Session) -> list[Take]:
    score, cast, rng = session.score, session.cast, session.rng
    drums = Track(
        channel=drum_channel(cast.kit),
        instrument=cast.kit,
        notes=score.drums,
        reverb=float(rng.uniform(0, 0.4)),
    )
    bass = Track(channel=0, instrument=cast.bass, notes=score.bass, reverb=0.0)
    side = float(rng.uniform(0.0, 0.35))
    others = [
        _melodic(rng, channel=1, instrument=cast.chords, notes=score.chords, pan=0.5 - side),
        _melodic(rng, channel=2, instrument=cast.figure, notes=score.figure, pan=0.5 + side),
    ]
    if cast.bed is not None:
        held = tuple(note for note in score.chords if note.duration_s > 0.3)
        others.append(_melodic(rng, channel=3, instrument=cast.bed, notes=held, pan=0.5))
    return [
        Take(tracks=tracks, duration_s=score.duration_s)
        for tracks in ((drums,), (bass,), tuple(others))
    ]


def _melodic(
    rng: np.random.Generator, *, channel: int, instrument: Instrument, notes: tuple, pan: float
) -> Track:
    return Track(
        channel=channel,
        instrument=instrument,
        notes=notes,
        gain=float(rng.uniform(0.6, 1.0)),
        pan=pan,
        reverb=float(rng.uniform(0, 0.6)),
        chorus=float(rng.choice([0.0, 0.0, 0.4])),
    )


def _produced(session: _Session, drums: Signal, bass: Signal, other: Signal) -> RenderedSong:
    rng = session.rng
    lead = singer.sing(session.score.melody, session.cast.voice, rng, samples=drums.shape[1])
    recorded = {
        "drums": drums,
        "bass": bass,
        "other": other,
        "vocals": effects.produced_vocal(lead, rng),
    }
    shaped = {name: effects.equalised(stem, rng, spread_db=2.0) for name, stem in recorded.items()}
    if rng.random() < 0.3:
        shaped["bass"] = effects.saturated(shaped["bass"], drive=float(rng.uniform(1, 4)))
    if rng.random() < 0.3:
        shaped["drums"] = effects.saturated(shaped["drums"], drive=float(rng.uniform(1, 3)))
    stems = balanced(shaped, rng)
    return RenderedSong(stems=stems, mix=mixed(stems))
