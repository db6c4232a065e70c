"""The figures on the bundled model's card, taken again through the whole stack."""

import json
from collections.abc import AsyncGenerator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
import soundfile

from stemcore.model_card import ModelCard
from stemyard.client import StemyardClient
from stemyard.stack.assembly import Stack
from stemyard.stack.settings import ROOT
from stemyard.yardstick import sdr_db
from tests.stack.conftest import finished, signed_in, tiny_stack
from training import heldout

MODEL = "stemyard-mini"
SONGS = (0, 13, 26, 39)
TOLERANCE_DB = 0.1
FLOAT = {"format": "wav", "bit_depth": 32}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(runtimes: Path) -> AsyncGenerator[Stack]:
    repository = ROOT / "model_repository"
    async with tiny_stack(
        runtimes / "bundled", repository=repository, default_model=MODEL
    ) as running:
        yield running


@pytest.fixture(scope="module")
def published() -> list[dict[str, float]]:
    evaluation = json.loads((ROOT / "training" / "results" / "held_out.json").read_text())
    return evaluation["per_song_db"]["model"]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("index", SONGS)
async def test_a_held_out_song_is_separated_as_published(
    stack: Stack, published: list[dict[str, float]], tmp_path: Path, index: int
) -> None:
    song = heldout.song(index)
    source = tmp_path / "mix.wav"
    soundfile.write(source, song.mix.T, 44_100, subtype="FLOAT")
    async with signed_in(stack, email=f"listener-{index}@example.com") as client:
        estimates = await _separated(client, source, folder=tmp_path)
    for stem, estimate in estimates.items():
        found_db = sdr_db(song.stems[stem], estimate)
        assert found_db == pytest.approx(published[index][stem], abs=TOLERANCE_DB), stem


def test_the_card_tells_the_published_medians(published: list[dict[str, float]]) -> None:
    card = ModelCard.from_json((ROOT / "model_repository" / MODEL / "card.json").read_text())
    assert card.demonstration
    assert card.sdr is not None
    assert card.sdr.songs == len(published)
    for stem, median_db in card.sdr.median_db.items():
        assert median_db == pytest.approx(
            float(np.median([song[stem] for song in published])), abs=0.01
        )


async def _separated(
    client: StemyardClient, source: Path, *, folder: Path
) -> dict[str, np.ndarray]:
    job = await finished(client, await client.submit(source, output=FLOAT))
    assert job.status == "succeeded"
    for stem in job.stems:
        await client.download(job, stem, target=folder / stem.filename)
    return {
        stem.stem: soundfile.read(folder / stem.filename, dtype="float32")[0].T
        for stem in job.stems
    }
