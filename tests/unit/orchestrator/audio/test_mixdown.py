import numpy as np
import pytest

from orchestrator.audio.mixdown import mixdown_matrix, mixed_down

SURROUND = ("FL", "FR", "FC", "LFE", "BL", "BR")


def channel(index: int, *, of: int) -> np.ndarray:
    block = np.zeros((1, of), dtype=np.float32)
    block[0, index] = 1
    return block


def test_mono_goes_to_both_sides() -> None:
    block = np.array([[0.25], [-1.0]], dtype=np.float32)
    assert mixed_down(block, mixdown_matrix(1)).tolist() == [[0.25, 0.25], [-1.0, -1.0]]


def test_stereo_passes_untouched() -> None:
    block = np.random.default_rng(2).standard_normal((9, 2), dtype=np.float32)
    assert mixed_down(block, mixdown_matrix(2, names=("FL", "FR"))) is block


@pytest.mark.parametrize("names", [SURROUND, ()])
def test_surround_keeps_its_centre_on_both_sides(names: tuple[str, ...]) -> None:
    centre = mixed_down(channel(2, of=6), mixdown_matrix(6, names=names))[0]
    left = mixed_down(channel(0, of=6), mixdown_matrix(6, names=names))[0]
    assert centre[0] == centre[1] > 0
    # BS.775: 3 dB below the front channels.
    assert 20 * np.log10(left[0] / centre[0]) == pytest.approx(3.01, abs=0.01)
    assert left[1] == 0


def test_surround_leaves_the_effects_channel_out() -> None:
    assert not mixed_down(channel(3, of=6), mixdown_matrix(6, names=SURROUND)).any()


@pytest.mark.parametrize("channels", [3, 4, 5, 6, 7, 8, 12])
def test_full_scale_on_all_channels_does_not_clip(channels: int) -> None:
    matrix = mixdown_matrix(channels)
    both = mixed_down(np.ones((1, channels), dtype=np.float32), matrix)
    assert np.abs(both).max() == pytest.approx(1, abs=1e-6)
    assert both[0, 0] == both[0, 1]


def test_channels_nobody_named_go_to_both_sides_alike() -> None:
    assert np.unique(mixdown_matrix(12)).tolist() == [np.float32(1 / 12)]


def test_side_and_height_channels_stay_on_their_side() -> None:
    matrix = mixdown_matrix(4, names=("FL", "FR", "TFL", "SR"))
    assert matrix[2, 0] > 0
    assert matrix[2, 1] == 0
    assert matrix[3, 1] > 0
    assert matrix[3, 0] == 0
