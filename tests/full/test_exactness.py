"""The joining at full size: Demucs' own loop around the same engine, on two short chunks."""

from pathlib import Path

import pytest

from exporters.htdemucs.random_weights import SEGMENT_S, SIZES
from tests.exporters.loops import RATE, agreement_db, demucs_stems, our_stems, random_model, song

REQUIRED_DB = 115.0
SEGMENT = int(SEGMENT_S * RATE)
STRIDE = int(0.75 * SEGMENT)


@pytest.mark.timeout(900)
async def test_full_size_stems_agree_with_demucs_own_loop(tmp_path: Path) -> None:
    model = random_model(tmp_path, segment_s=SEGMENT_S, **SIZES["full"])
    samples = song(STRIDE + 1)
    ours = await our_stems(model, samples, tmp_path, overlap=0.25)
    assert agreement_db(ours, demucs_stems(model, samples, overlap=0.25)) >= REQUIRED_DB
