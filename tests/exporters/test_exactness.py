"""Our pipeline against Demucs' own loop, both around the same ONNX engine."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from exporters.htdemucs.random_weights import SIZES
from orchestrator.audio.segments import Segment, SegmentPlan
from orchestrator.audio.shifts import delays
from tests.exporters.loops import (
    RATE,
    Model,
    agreement_db,
    demucs_stems,
    our_stems,
    random_model,
    song,
)

SEGMENT_S = Fraction(3, 5)
SEGMENT = int(SEGMENT_S * RATE)
STRIDE = int(0.75 * SEGMENT)
# Four minutes cut into Demucs' segments of 343,980 samples, in proportion: two short chunks.
FOUR_MINUTES = round(240 * RATE * SEGMENT / 343_980)

REQUIRED_DB = 120.0
WRONG_PADDING_DB = 60.0
SILENCE = 1e-6

LENGTHS = {
    "two samples": 2,
    "one second": RATE,
    "a segment minus one": SEGMENT - 1,
    "a segment": SEGMENT,
    "a segment plus one": SEGMENT + 1,
    "a stride minus one": STRIDE - 1,
    "a stride plus one": STRIDE + 1,
    "four minutes": FOUR_MINUTES,
}


class RightPadded(Segment):
    """A short segment at the beginning of its window, as Demucs does not do it."""

    @property
    def trim_start(self) -> int:
        return 0


class RightPaddedPlan(SegmentPlan):
    def __iter__(self) -> Iterator[Segment]:
        for segment in super().__iter__():
            yield RightPadded(
                index=segment.index,
                offset=segment.offset,
                samples=segment.samples,
                window_samples=segment.window_samples,
            )


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tmp_path_factory.mktemp("exactness")
    return random_model(folder, segment_s=SEGMENT_S, **SIZES["tiny"])


def test_four_minutes_end_in_two_short_chunks() -> None:
    plan = SegmentPlan(total_samples=FOUR_MINUTES, segment_samples=SEGMENT, hop_samples=STRIDE)
    assert len(plan) == 42
    assert [segment.samples < SEGMENT for segment in plan][-3:] == [False, True, True]


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.3, 0.5])
@pytest.mark.parametrize("length", LENGTHS.values(), ids=LENGTHS)
async def test_stems_agree_with_demucs_own_loop(
    model: Model, tmp_path: Path, length: int, overlap: float
) -> None:
    samples = song(length)
    ours = await our_stems(model, samples, tmp_path, overlap=overlap)
    assert agreement_db(ours, demucs_stems(model, samples, overlap=overlap)) >= REQUIRED_DB


@pytest.mark.parametrize("length", [2, STRIDE + 1, 4 * SEGMENT])
async def test_shifts_are_demucs_own_for_its_seed(
    model: Model, tmp_path: Path, length: int
) -> None:
    samples = song(length)
    drawn = delays(2, seed=5, sample_rate_hz=RATE)
    ours = await our_stems(model, samples, tmp_path, overlap=0.25, delays_samples=drawn)
    demucs = demucs_stems(model, samples, overlap=0.25, shifts=2, seed=5)
    assert agreement_db(ours, demucs) >= REQUIRED_DB
    others = demucs_stems(model, samples, overlap=0.25, shifts=2, seed=6)
    assert agreement_db(ours, others) < REQUIRED_DB


@pytest.mark.parametrize("length", [SEGMENT - 1, STRIDE + 1])
async def test_padding_on_the_right_is_found_out(model: Model, tmp_path: Path, length: int) -> None:
    samples = song(length)
    ours = await our_stems(model, samples, tmp_path, overlap=0.25, plan_type=RightPaddedPlan)
    assert agreement_db(ours, demucs_stems(model, samples, overlap=0.25)) < WRONG_PADDING_DB


async def test_the_window_of_requests_does_not_change_a_bit(model: Model, tmp_path: Path) -> None:
    results: list[bytes] = []
    for window in (1, 2, 4):
        folder = tmp_path / str(window)
        folder.mkdir()
        stems = await our_stems(model, song(4 * SEGMENT), folder, overlap=0.25, window=window)
        results.append(stems.tobytes())
    assert results[0] == results[1] == results[2]


@pytest.mark.filterwarnings(r"ignore:std\(\):UserWarning")
async def test_one_sample_is_defined_where_demucs_has_no_number(
    model: Model, tmp_path: Path
) -> None:
    samples = song(1)
    assert np.isnan(demucs_stems(model, samples, overlap=0.25)).all()
    ours = await our_stems(model, samples, tmp_path, overlap=0.25)
    assert ours.shape == (4, 2, 1)
    assert np.isfinite(ours).all()


async def test_silence_stays_silent(model: Model, tmp_path: Path) -> None:
    ours = await our_stems(
        model, np.zeros((2 * SEGMENT, 2), dtype=np.float32), tmp_path, overlap=0.25
    )
    assert np.abs(ours).max() < SILENCE


async def test_opposite_sides_agree_although_their_mono_mix_is_silent(
    model: Model, tmp_path: Path
) -> None:
    samples = song(SEGMENT)
    samples[:, 1] = -samples[:, 0]
    ours = await our_stems(model, samples, tmp_path, overlap=0.25)
    assert np.isfinite(ours).all()
    assert agreement_db(ours, demucs_stems(model, samples, overlap=0.25)) >= REQUIRED_DB
