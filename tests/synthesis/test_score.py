"""Composition: notes stay inside the song, the key and the instruments' ranges."""

import numpy as np
import pytest

from synthesis import Score, compose


@pytest.fixture(params=range(5))
def score(request: pytest.FixtureRequest) -> Score:
    return compose(np.random.default_rng(request.param), duration_s=20.0)


def test_every_part_plays_to_the_end(score: Score) -> None:
    for notes in (score.drums, score.bass, score.chords, score.figure, score.melody):
        last = max(note.start_s for note in notes)
        assert 16.0 < last < 20.0


def test_notes_end_with_the_song(score: Score) -> None:
    for notes in (score.drums, score.bass, score.chords, score.figure, score.melody):
        assert all(note.start_s + note.duration_s <= 20.0 + 1e-9 for note in notes)
        assert all(0.1 <= note.velocity <= 1.0 for note in notes)


def test_pitched_parts_share_one_scale(score: Score) -> None:
    parts = (score.bass, score.chords, score.figure, score.melody)
    classes = {note.pitch % 12 for notes in parts for note in notes}

    assert len(classes) <= 7


def test_bass_stays_low_and_melody_singable(score: Score) -> None:
    assert all(24 <= note.pitch <= 60 for note in score.bass)
    assert all(40 <= note.pitch <= 88 for note in score.melody)
