import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.audio.full_scale import clamped_together

SUM_ERROR = 1e-6


@settings(deadline=None)
@given(
    samples=st.integers(1, 60),
    stems=st.integers(2, 6),
    loudness=st.floats(0.1, 5.0),
    seed=st.integers(0, 10_000),
)
def test_the_sum_stays_and_no_stem_is_beyond_full_scale(
    samples: int, stems: int, loudness: float, seed: int
) -> None:
    random = np.random.default_rng(seed)
    made = (random.standard_normal((stems, 2, samples)) * loudness).astype(np.float32)
    kept = clamped_together(made)
    assert np.abs(kept).max() <= 1
    wanted = np.clip(made.sum(axis=0, dtype=np.float64), -stems, stems)
    assert np.abs(kept.sum(axis=0, dtype=np.float64) - wanted).max() < SUM_ERROR * stems
    untouched = np.abs(made).max(axis=0) <= 1
    assert np.array_equal(kept[:, untouched], made[:, untouched])


def test_the_excess_goes_to_those_with_room() -> None:
    made = np.array([[[1.5]], [[0.9]], [[-0.5]]], dtype=np.float32)
    np.testing.assert_allclose(clamped_together(made), [[[1.0]], [[1.0]], [[-0.1]]], atol=1e-6)


def test_the_stems_that_were_given_stay_as_they_were() -> None:
    made = np.array([[[2.0, 0.5]], [[0.0, 0.5]]], dtype=np.float32)
    before = made.copy()
    assert clamped_together(made) is not made
    assert np.array_equal(made, before)
