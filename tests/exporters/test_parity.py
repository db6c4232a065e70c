import numpy as np
import pytest

from exporters.parity import (
    BEST_SNR_DB,
    TRAINED_WEIGHTS,
    Floors,
    Step,
    compare,
    compare_silence,
    snr_db,
)

RNG = np.random.default_rng(11)
TONE = RNG.standard_normal((2, 1000)).astype(np.float32)


def off_by(db: float) -> np.ndarray:
    error = RNG.standard_normal(TONE.shape)
    return TONE + error * 10 ** (-db / 20) * np.linalg.norm(TONE) / np.linalg.norm(error)


@pytest.mark.parametrize("db", [10.0, 60.0, 100.0])
def test_the_ratio_is_that_of_powers(db: float) -> None:
    assert snr_db(TONE, off_by(db)) == pytest.approx(db, abs=0.01)


def test_equal_bytes_reach_the_top_and_wrecks_the_bottom() -> None:
    assert snr_db(TONE, TONE) == BEST_SNR_DB
    assert snr_db(np.zeros_like(TONE), TONE) == -BEST_SNR_DB
    assert snr_db(TONE, np.full_like(TONE, np.nan)) == -BEST_SNR_DB


def test_the_worst_stem_counts() -> None:
    truth = {"drums": TONE, "bass": TONE}
    candidate = {"drums": off_by(120.0), "bass": off_by(90.0)}
    figure = compare(truth, candidate, step=Step.ENGINE, signal="music", floor_db=95.0)
    assert (figure.worst_stem, figure.snr_db, figure.passed) == ("bass", 90.0, False)
    assert compare(truth, candidate, step=Step.ENGINE, signal="music", floor_db=90.0).passed


@pytest.mark.parametrize(("error", "passed"), [(9e-7, True), (2e-6, False), (np.nan, False)])
def test_silence_is_judged_by_its_largest_error(error: float, passed: bool) -> None:
    truth = {"drums": np.zeros_like(TONE), "bass": np.zeros_like(TONE)}
    candidate = {"drums": np.zeros_like(TONE), "bass": np.zeros_like(TONE)}
    candidate["bass"][1, 500] = error
    figure = compare_silence(truth, candidate, step=Step.ENGINE, signal="silence")
    assert (figure.worst_stem, figure.passed) == ("bass", passed)


def test_floors_belong_to_steps() -> None:
    floors, of_derivatives = Floors(), {Step.HALF, Step.HALF_OUTPUTS}
    verified = [step for step in Step if step not in of_derivatives]
    assert [floors.of(step) for step in verified] == [115.0, 95.0] * 2 + [105.0] * 2
    assert TRAINED_WEIGHTS.of(Step.ENGINE) == 90.0
