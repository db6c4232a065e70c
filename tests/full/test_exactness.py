"""The joining at Demucs' own segment of 7.8 s: its own loop around the same engine."""

from pathlib import Path

import pytest

from exporters.htdemucs.random_weights import SEGMENT_S, SIZES
from tests.exporters.loops import RATE, agreement_db, demucs_stems, our_stems, random_model, song

SEGMENT = int(SEGMENT_S * RATE)
STRIDE = int(0.75 * SEGMENT)
FOUR_MINUTES = 240 * RATE


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("size", "length", "required_db"),
    [("tiny", FOUR_MINUTES, 120.0), ("full", STRIDE + 1, 115.0)],
    ids=["tiny, four minutes", "full size, a stride plus one"],
)
async def test_stems_agree_with_demucs_own_loop_over_two_short_chunks(
    tmp_path: Path, size: str, length: int, required_db: float
) -> None:
    model = random_model(tmp_path, segment_s=SEGMENT_S, **SIZES[size])
    samples = song(length)
    ours = await our_stems(model, samples, tmp_path, overlap=0.25)
    assert agreement_db(ours, demucs_stems(model, samples, overlap=0.25)) >= required_db
