"""Training examples."""

from dataclasses import replace

import numpy as np

from synthesis import STEMS
from training.bank import Bank
from training.batches import FAR, Mixer, Remix


def _mixer(bank: Bank, *, seed: int = 1) -> Mixer:
    return Mixer(banks=[bank], remix=Remix(excerpt_s=0.5), seed=seed)


def test_batches_depend_on_seed_and_number_alone(small_bank: Bank) -> None:
    first = _mixer(small_bank).batch(3, size=2)

    assert np.array_equal(first, _mixer(small_bank).batch(3, size=2))
    assert not np.array_equal(first, _mixer(small_bank).batch(4, size=2))
    assert not np.array_equal(first, _mixer(small_bank, seed=2).batch(3, size=2))


def test_every_example_has_all_stems_at_the_asked_length(small_bank: Bank) -> None:
    for number in range(8):
        batch = _mixer(small_bank).batch(number, size=2)
        assert batch.shape == (2, len(STEMS), 2, 22_050)
        assert batch.dtype == np.float32
        assert np.isfinite(batch).all()


def test_examples_that_stray_further_have_the_same_form(small_bank: Bank) -> None:
    far = replace(FAR, excerpt_s=0.5)
    near = Mixer(banks=[small_bank], remix=replace(far, reverberate=0.0), seed=1)
    batch = Mixer(banks=[small_bank], remix=far, seed=1).batch(0, size=4)

    assert batch.shape == (4, len(STEMS), 2, 22_050)
    assert np.isfinite(batch).all()
    assert not np.array_equal(batch, near.batch(0, size=4))


def test_without_augmentation_examples_are_the_banks_own_songs(small_bank: Bank) -> None:
    plain = Remix(excerpt_s=6.0, same_song=1.0, gain_db=0.0, equalise=0.0, saturate=0.0)
    [example] = Mixer(banks=[small_bank], remix=plain, seed=1).batch(0, size=1)

    for name, stem in zip(STEMS, example, strict=True):
        songs = [small_bank.excerpt(name, item, start=0, samples=264_600) for item in (0, 1)]
        assert any(np.array_equal(stem, song) or np.array_equal(stem, song[::-1]) for song in songs)
