"""Fonts that train and never judge: none of their sounds is one of a held-out instrument."""

from collections.abc import Sequence

import numpy as np
import pytest

from synthesis import Note, rhythm
from synthesis.signal import SAMPLE_RATE_HZ, Signal
from training import manifest, soundfont
from training.errors import MissingProgramError
from training.manifest import Instrument
from training.programs import require_font
from training.soundfont import Take, Track, drum_channel

# Of two recordings, not of two tones of one pitch: different kicks come to 0.8.
SAME_SAMPLE = 0.95
APART_S, HELD_S = 0.7, 0.6
STROKES = (rhythm.KICK, rhythm.SNARE, rhythm.CLOSED_HAT, rhythm.OPEN_HAT, rhythm.RIDE, rhythm.CRASH)
LOW = (36, 43)


@pytest.fixture(scope="module", params=sorted({kit.font for kit in manifest.draw().further.basses}))
def font(request: pytest.FixtureRequest, synthesisers: None) -> str:
    try:
        require_font(request.param)
    except MissingProgramError as absent:
        pytest.skip(str(absent))
    return request.param


def played(instrument: Instrument, keys: Sequence[int], *, channel: int) -> Take:
    notes = tuple(
        Note(start_s=APART_S * place, duration_s=HELD_S, pitch=key, velocity=0.9)
        for place, key in enumerate(keys)
    )
    track = Track(channel=channel, instrument=instrument, notes=notes, reverb=0.0)
    return Take(tracks=(track,), duration_s=APART_S * len(keys))


def sounds(instruments: Sequence[Instrument], keys: Sequence[int], *, drums: bool) -> list[Signal]:
    """Every key of every instrument."""
    takes = [played(each, keys, channel=drum_channel(each) if drums else 0) for each in instruments]
    length = round(APART_S * SAMPLE_RATE_HZ)
    return [
        take.mean(axis=0)[place * length : (place + 1) * length]
        for take in soundfont.render(takes)
        for place in range(len(keys))
    ]


def likeness(one: Signal, other: Signal) -> float:
    """The largest normalised cross-correlation at any delay: 1 for a sample and its copy."""
    size = 1 << (2 * len(one) - 1).bit_length()
    product = np.fft.rfft(one, size) * np.conj(np.fft.rfft(other, size))
    energy = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(np.abs(np.fft.irfft(product)).max()) / max(energy, 1e-9)


@pytest.mark.parametrize(("kind", "keys"), [("kits", STROKES), ("basses", LOW)])
def test_it_shares_no_sample_with_what_is_held_out(
    font: str, kind: str, keys: Sequence[int]
) -> None:
    sources = manifest.load()
    further = [each for each in getattr(sources.further, kind) if each.font == font]
    held_out = sounds(getattr(sources.held_out, kind), keys, drums=kind == "kits")
    found = sounds(further, keys, drums=kind == "kits")

    assert max(likeness(one, other) for one in held_out for other in found) < SAME_SAMPLE


def test_likeness_of_a_sample_and_its_copy_is_found(synthesisers: None) -> None:
    kit = manifest.load().held_out.kits[0]
    stroke, *_ = sounds([kit], STROKES, drums=True)
    copy = np.roll(stroke, 100) * np.float32(0.3)

    assert likeness(stroke, copy) > SAME_SAMPLE
