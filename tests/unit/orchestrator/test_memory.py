"""What a run holds does not grow with its song."""

import asyncio
import tempfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from orchestrator.finishing import Recipe
from orchestrator.joining import Separation
from orchestrator.mix import Mix, spool
from orchestrator.plans import plans_of
from orchestrator.tape import Tape
from stemcore.model_card import ModelCard
from tests.unit.orchestrator.test_mix import Decoded
from tests.unit.orchestrator.tracks import Recorder, card, engine, model, wishes

SEGMENT = 22_050
SHORT, LONG = 10 * SEGMENT, 80 * SEGMENT
# A tenth of one stem of the long track; threads hold a window more or less.
GROWTH_BYTES = 2 * 4 * LONG // 10

MEAN = card(segment_samples=SEGMENT, sample_rate=44_100)
SUM = card(
    segment_samples=SEGMENT,
    sample_rate=44_100,
    join="sum",
    weights="none",
    hop=20_000,
    lead_in_samples=4_096,
)


async def run(on: ModelCard, samples: np.ndarray, folder: Path) -> None:
    request = wishes("drums", "no_drums", shifts=3, seed=1, consistency=True)
    facts = spool(Decoded(samples=samples), folder / "mix", sample_rate_hz=44_100)
    recipe = Recipe.of(request, on)
    with (
        Mix(folder / "mix", facts) as mix,
        Tape(folder, stems=request.stems, total_frames=facts.frames) as tape,
    ):
        separation = Separation(
            mix=mix,
            engine=engine(Recorder(model), on, recipe.stems),
            plans=plans_of(request, on, frames=facts.frames),
            recipe=recipe,
            scratch=folder / "passes",
        )
        await separation.onto(tape, on_segment=nobody_counts)


async def nobody_counts(_: int) -> None: ...


def peak_bytes(on: ModelCard, frames: int) -> int:
    samples = np.zeros((frames, 2), dtype=np.float32) + np.float32(0.1)
    with tempfile.TemporaryDirectory() as folder:
        tracemalloc.start()
        try:
            asyncio.run(run(on, samples, Path(folder)))
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize("on", [MEAN, SUM], ids=["mean", "sum"])
def test_memory_does_not_grow_with_the_track(on: ModelCard) -> None:
    peak_bytes(on, SHORT)
    assert peak_bytes(on, LONG) - peak_bytes(on, SHORT) < GROWTH_BYTES
