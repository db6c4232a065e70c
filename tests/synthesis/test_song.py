"""Synthesised songs: known stems, fair levels, the same from the same seed."""

import numpy as np
import pytest

from synthesis import STEMS, Song, song
from synthesis.signal import level

LEVEL_SPREAD_DB = 12.0
SEEDS = (0, 1, 2, 3)


@pytest.fixture(scope="module", params=SEEDS)
def short_song(request: pytest.FixtureRequest) -> Song:
    return song(seed=request.param, duration_s=12.0)


def test_stems_add_up_to_the_mix(short_song: Song) -> None:
    total = sum(short_song.stems[name].astype(np.float64) for name in STEMS)

    assert np.abs(total - short_song.mix).max() < 1e-6


def test_audio_is_stereo_float_of_the_asked_length(short_song: Song) -> None:
    assert tuple(short_song.stems) == STEMS
    for audio in (*short_song.stems.values(), short_song.mix):
        assert audio.dtype == np.float32
        assert audio.shape == (2, 12 * short_song.sample_rate_hz)
        assert np.isfinite(audio).all()


def test_every_stem_is_within_12_db_of_the_loudest(short_song: Song) -> None:
    levels_db = [20 * np.log10(level(stem)) for stem in short_song.stems.values()]

    assert max(levels_db) - min(levels_db) <= LEVEL_SPREAD_DB


def test_mix_uses_the_scale_without_clipping(short_song: Song) -> None:
    assert 0.85 < np.abs(short_song.mix).max() <= 0.9 + 1e-6


def test_same_seed_makes_the_same_song() -> None:
    first, second = (song(seed=7, duration_s=4.0) for _ in range(2))

    assert all(np.array_equal(first.stems[name], second.stems[name]) for name in STEMS)


def test_another_seed_makes_another_song() -> None:
    assert not np.array_equal(song(seed=7, duration_s=4.0).mix, song(seed=8, duration_s=4.0).mix)


def test_no_stem_is_a_copy_of_another(short_song: Song) -> None:
    stems = [short_song.stems[name].ravel().astype(np.float64) for name in STEMS]
    similarity = np.abs(np.corrcoef(stems) - np.eye(len(stems)))

    assert similarity.max() < 0.5
