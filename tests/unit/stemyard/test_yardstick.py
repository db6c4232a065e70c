import numpy as np
import pytest

from stemyard.yardstick import best_gain, scores, sdr_db

SAMPLES = 4_410


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((2, SAMPLES), dtype=np.float32)


def test_an_error_of_a_tenth_is_20_db() -> None:
    stem = noise(1)
    assert sdr_db(stem, stem * np.float32(1.1)) == pytest.approx(20.0, abs=1e-3)


def test_silence_scores_0_db() -> None:
    stem = noise(1)
    assert sdr_db(stem, np.zeros_like(stem)) == pytest.approx(0.0, abs=1e-9)


def test_the_best_gain_of_a_scaled_mix_is_its_inverse() -> None:
    stem = noise(1)
    assert best_gain(stem, mix=4 * stem) == pytest.approx(0.25)


def test_no_other_gain_beats_the_best_one() -> None:
    stem = noise(1)
    mix = stem + noise(2)
    best = best_gain(stem, mix=mix)
    at_best = sdr_db(stem, best * mix)
    assert at_best > sdr_db(stem, (best + 0.01) * mix)
    assert at_best > sdr_db(stem, (best - 0.01) * mix)


def test_a_score_tells_how_far_an_estimate_is_above_the_best_gain() -> None:
    stems = {"drums": noise(1), "bass": noise(2)}
    mix = stems["drums"] + stems["bass"]
    good, idle = scores(
        {"drums": stems["drums"] * np.float32(1.1), "bass": mix}, stems=stems, mix=mix
    )
    assert good.stem == "drums"
    assert good.above_best_gain_db == pytest.approx(20.0 - good.best_gain_sdr_db, abs=1e-3)
    assert idle.above_best_gain_db < 0
