"""The split between sources that train the model and sources that judge it."""

import pytest

from training import bank, manifest
from training.manifest import Manifest

HELD_OUT_SONGS = 50


@pytest.fixture(scope="module")
def committed() -> Manifest:
    return manifest.load()


def test_committed_split_is_what_the_code_draws(committed: Manifest) -> None:
    assert committed == manifest.draw()


@pytest.mark.parametrize("kind", ["kits", "basses", "melodic", "voices"])
def test_no_source_is_on_both_sides(committed: Manifest, kind: str) -> None:
    training, held_out = (
        set(getattr(side, kind)) for side in (committed.training, committed.held_out)
    )

    assert training
    assert held_out
    assert not training & held_out


def test_no_held_out_instrument_is_of_a_further_font(committed: Manifest) -> None:
    further, held_out = (
        {source.font for source in (*side.kits, *side.basses, *side.melodic)}
        for side in (committed.further, committed.held_out)
    )

    assert len(further) > 10
    assert not further & held_out


@pytest.mark.parametrize("trait", ["language", "variant"])
def test_voices_of_the_two_sides_share_no_trait(committed: Manifest, trait: str) -> None:
    training, held_out = (
        {getattr(voice, trait) for voice in side.voices}
        for side in (committed.training, committed.held_out)
    )

    assert not training & held_out


def test_kits_that_share_samples_stay_on_one_side(committed: Manifest) -> None:
    # General MIDI kits come in families of eight programs; FluidR3's 24 and 25 stand alone.
    families = [
        {kit.program if kit.program in (24, 25) else kit.program // 8 for kit in side.kits}
        for side in (committed.training, committed.held_out)
    ]

    assert not families[0] & families[1]


def test_every_kind_of_source_is_held_out_in_number(committed: Manifest) -> None:
    held_out = committed.held_out

    assert len({kit.program // 8 for kit in held_out.kits}) == 2
    assert len(held_out.basses) == 3
    assert len(held_out.melodic) >= 0.25 * len(committed.training.melodic)
    assert len(held_out.voices) >= 20


def test_held_out_songs_have_seeds_of_their_own(committed: Manifest) -> None:
    seeds = set(committed.held_out_song_seeds)

    assert len(seeds) == HELD_OUT_SONGS
    assert not seeds & set(bank.seeds_in_use())
