import numpy as np
import pytest

from orchestrator.audio.normalisation import TrackMoments

RELATIVE = 1e-12


def moments_of(track: np.ndarray, *, block: int) -> TrackMoments:
    moments = TrackMoments()
    for start in range(0, len(track), block):
        moments.add(track[start : start + block])
    return moments


@pytest.mark.parametrize("block", [1, 7, 100_000])
def test_blocks_of_any_size_give_the_moments_of_the_whole_mono_mix(block: int) -> None:
    random = np.random.default_rng(5)
    track = (random.standard_normal((5_000, 2)) * 1e-3 + 0.9).astype(np.float32)
    mono = track.mean(axis=1, dtype=np.float32).astype(np.float64)
    moments = moments_of(track, block=block)
    assert moments.mean == pytest.approx(mono.mean(), rel=RELATIVE)
    assert moments.deviation == pytest.approx(mono.std(ddof=1), rel=1e-9)


def test_the_mean_is_that_of_numpys_mono_mix_to_the_bit() -> None:
    random = np.random.default_rng(7)
    levels = np.float32(10.0) ** random.integers(-30, 30, (5_000, 1))
    track = (random.standard_normal((5_000, 2)) * levels).astype(np.float32)
    mono = track.mean(axis=1, dtype=np.float32).astype(np.float64)
    assert moments_of(track, block=5_000).mean == mono.mean()


def test_a_single_frame_is_left_unscaled() -> None:
    moments = moments_of(np.array([[0.5, -0.1]], dtype=np.float32), block=1)
    normalisation = moments.normalisation()
    assert float(normalisation.scale) == 1.0
    assert float(normalisation.mean) == pytest.approx(0.2)


def test_normalising_is_undone() -> None:
    random = np.random.default_rng(6)
    track = random.standard_normal((1_000, 2), dtype=np.float32)
    normalisation = moments_of(track, block=300).normalisation()
    back = normalisation.applied(track)
    normalisation.undo(back)
    assert np.abs(back - track).max() < 1e-6


def test_silence_stays_finite() -> None:
    silence = np.zeros((100, 2), dtype=np.float32)
    assert not moments_of(silence, block=9).normalisation().applied(silence).any()
