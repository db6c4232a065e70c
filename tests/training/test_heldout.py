"""The held-out songs: the same every time, and fair to every stem."""

import numpy as np
import pytest

from synthesis import STEMS
from synthesis.signal import level
from training import heldout
from training.errors import UnknownSongError
from training.evaluate import level_spread_db
from training.songs import RenderedSong

LEVEL_SPREAD_DB = 12.0


@pytest.fixture(scope="module")
def first(synthesisers: None) -> RenderedSong:
    return heldout.song(0)


def test_same_number_renders_the_same_song(first: RenderedSong) -> None:
    again = heldout.song(0)

    assert all(np.array_equal(first.stems[name], again.stems[name]) for name in STEMS)


def test_stems_add_up_to_the_mix(first: RenderedSong) -> None:
    assert np.abs(sum(first.stems.values()) - first.mix).max() < 1e-6
    assert np.abs(first.mix).max() <= 0.9 + 1e-6


def test_every_stem_plays_within_12_db_of_the_loudest(first: RenderedSong) -> None:
    assert level_spread_db(first) <= LEVEL_SPREAD_DB


def test_every_stem_plays_most_of_the_time(first: RenderedSong) -> None:
    for stem in first.stems.values():
        seconds = stem[:, : 24 * 44_100].reshape(2, 24, -1)
        per_second = np.sqrt((seconds**2).mean(axis=(0, 2)))
        assert (per_second > 0.1 * level(stem)).mean() > 0.7


def test_number_outside_the_manifest_is_refused() -> None:
    with pytest.raises(UnknownSongError):
        heldout.song(50)
