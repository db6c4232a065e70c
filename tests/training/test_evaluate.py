"""The checker: it passes what separates and fails what does not."""

import numpy as np
import pytest

import synthesis
from synthesis import STEMS
from synthesis.signal import Signal
from training import evaluate, heldout, yardsticks
from training.songs import RenderedSong
from training.yardsticks import BestFixedGain, Equaliser, FixedShare, Stems

YARDSTICKS = ("equaliser", "best_fixed_gain", "quarter_of_the_mix", "silence")


class AlmostPerfect:
    """The truth with a tenth of the mix left in."""

    def separate(self, mix: Signal, *, truth: Stems) -> Stems:
        return {name: stem + np.float32(0.1) * mix for name, stem in truth.items()}


@pytest.fixture(scope="module")
def songs() -> list[RenderedSong]:
    made = [synthesis.song(seed=seed, duration_s=6.0) for seed in (11, 12, 13)]
    return [RenderedSong(stems=song.stems, mix=song.mix) for song in made]


@pytest.fixture(scope="module")
def equaliser() -> Equaliser:
    made = [synthesis.song(seed=seed, duration_s=6.0) for seed in (21, 22, 23, 24)]
    return yardsticks.fit_equaliser((song.mix, song.stems) for song in made)


@pytest.mark.parametrize("name", YARDSTICKS)
def test_every_yardstick_fails(name: str, songs: list[RenderedSong], equaliser: Equaliser) -> None:
    candidates = yardsticks.all_of(equaliser)
    scores = [evaluate.score(candidates[name], song) for song in songs]
    reference = [evaluate.score(equaliser, song) for song in songs]

    assert not evaluate.verdict(scores, reference).passed


@pytest.fixture(scope="module")
def held_out_songs(synthesisers: None) -> list[RenderedSong]:
    return [heldout.song(index) for index in (0, 1)]


@pytest.mark.parametrize("name", YARDSTICKS)
def test_every_yardstick_fails_on_held_out_songs(
    name: str, held_out_songs: list[RenderedSong]
) -> None:
    committed = yardsticks.load_equaliser()
    candidate = yardsticks.all_of(committed)[name]
    scores = [evaluate.score(candidate, song) for song in held_out_songs]
    reference = [evaluate.score(committed, song) for song in held_out_songs]

    assert not evaluate.verdict(scores, reference).passed


def test_a_separator_that_separates_passes(songs: list[RenderedSong], equaliser: Equaliser) -> None:
    scores = [evaluate.score(AlmostPerfect(), song) for song in songs]
    reference = [evaluate.score(equaliser, song) for song in songs]

    assert evaluate.verdict(scores, reference).passed


def test_one_weak_stem_fails_the_whole() -> None:
    reference = [dict.fromkeys(STEMS, 3.0)]
    strong = dict.fromkeys(STEMS, 6.0)

    assert evaluate.verdict([strong], reference).passed
    assert not evaluate.verdict([strong | {"vocals": 4.9}], reference).passed


def test_sdr_is_the_energy_ratio() -> None:
    truth = np.ones((2, 100), dtype=np.float32)

    assert evaluate.sdr_db(truth, truth * np.float32(0.9)) == pytest.approx(20.0, abs=1e-3)
    assert evaluate.sdr_db(truth, np.zeros_like(truth)) == pytest.approx(0.0, abs=1e-9)


def test_silence_scores_zero_and_best_fixed_gain_at_least_zero(songs: list[RenderedSong]) -> None:
    for song in songs:
        silence = evaluate.score(FixedShare(share=0.0), song)
        gain = evaluate.score(BestFixedGain(), song)
        assert all(silence[name] == pytest.approx(0.0, abs=1e-6) for name in STEMS)
        assert all(gain[name] >= 0.0 for name in STEMS)


def test_no_gain_beats_the_best_fixed_gain(songs: list[RenderedSong]) -> None:
    best = evaluate.score(BestFixedGain(), songs[0])
    for share in np.linspace(-0.2, 1.2, 29):
        other = evaluate.score(FixedShare(share=float(share)), songs[0])
        assert all(other[name] <= best[name] + 1e-6 for name in STEMS)


def test_equaliser_separates_what_lies_in_separate_bands() -> None:
    time_s = np.arange(44_100) / 44_100
    tones = {
        name: np.tile(np.sin(2 * np.pi * hz * time_s), (2, 1)).astype(np.float32)
        for name, hz in zip(STEMS, (100, 700, 3_000, 9_000), strict=True)
    }
    mix = sum(tones.values())
    fitted = yardsticks.fit_equaliser([(mix, tones)])

    estimates = fitted.separate(mix, truth=tones)

    assert all(evaluate.sdr_db(tones[name], estimates[name]) > 25.0 for name in STEMS)


def test_equaliser_of_unit_gains_returns_the_mix(songs: list[RenderedSong]) -> None:
    flat = Equaliser(gains={name: np.ones(2049) for name in STEMS})

    estimates = flat.separate(songs[0].mix, truth=songs[0].stems)

    assert np.abs(estimates["bass"] - songs[0].mix).max() < 1e-5
