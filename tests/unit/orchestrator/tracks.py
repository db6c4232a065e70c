"""Whole tracks through a model of our own, with all options and no job."""

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from orchestrator.finishing import Recipe
from orchestrator.joining import Engine, JoinReport, Separation
from orchestrator.mix import Mix, MixFacts, spool
from orchestrator.plans import plans_of
from orchestrator.segment_scheduler import SegmentScheduler, Share
from orchestrator.separator import StemSeparator
from orchestrator.tape import Tape
from stemcore.model_card import Licences, ModelCard, StemSource
from stemcore.separation_request import SeparationRequest
from tests.unit.orchestrator.test_mix import Decoded

Samples = NDArray[np.float32]
Model = Callable[[Samples], Samples]

STEMS = ("drums", "bass", "vocals")
# Half a second, the longest delay, is less than a window.
RATE = 100


def card(**changes: Any) -> ModelCard:
    return ModelCard(
        **{
            "name": "odd",
            "description": "",
            "family": "test",
            "stems": tuple(StemSource(stem=s, model="odd", output=s) for s in STEMS),
            "sample_rate": RATE,
            "segment_samples": 64,
            "normalisation": "none",
            "parameters": 0,
            "files": {"1/model.onnx": "0" * 64},
            "licences": Licences(code="MIT", weights="none", noncommercial=False),
        }
        | changes
    )


def model(window: Samples) -> Samples:
    """Depends on where in the window a sample is, so that no wrong placing goes unnoticed."""
    place = np.linspace(0.1, 1, window.shape[-1], dtype=np.float32)
    return np.stack([window * place, window[::-1] * np.float32(0.3), np.roll(window, 3, axis=-1)])


class Recorder:
    """A StemSeparator that writes down which stems it was asked for."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.asked: set[tuple[str, ...]] = set()

    async def separate(self, window: Samples, *, card: ModelCard, stems: Sequence[str]) -> Samples:
        self.asked.add(tuple(stems))
        made = self._model(window)
        return np.stack([made[card.stem_names.index(stem)] for stem in stems])


class Outcome:
    """What a request made of a track."""

    def __init__(
        self,
        request: SeparationRequest,
        samples: Samples,
        on: ModelCard,
        *,
        separator: StemSeparator | None = None,
    ) -> None:
        self._separator = separator or Recorder(model)
        self.request = request
        self.segments: list[int] = []
        with tempfile.TemporaryDirectory() as folder:
            self.files, self.report = asyncio.run(self._run(samples, on, Path(folder)))

    async def _run(
        self, samples: Samples, on: ModelCard, folder: Path
    ) -> tuple[dict[str, Samples], JoinReport]:
        facts = spooled(samples, folder)
        recipe = Recipe.of(self.request, on)
        names = [file.name for file in recipe.files]
        with (
            Mix(folder / "mix", facts) as mix,
            Tape(folder, stems=names, total_frames=facts.frames) as tape,
        ):
            separation = Separation(
                mix=mix,
                engine=engine(self._separator, on, recipe.stems),
                plans=plans_of(self.request, on, frames=facts.frames),
                recipe=recipe,
                scratch=folder / "passes",
            )
            report = await separation.onto(tape, on_segment=self._count)
            files = {
                name: np.concatenate([block async for block in tape.blocks(name)]).T
                for name in names
            }
        return files, report

    async def _count(self, done: int) -> None:
        self.segments.append(done)


def spooled(samples: Samples, folder: Path) -> MixFacts:
    return spool(Decoded(samples=samples, rate_hz=RATE), folder / "mix", sample_rate_hz=RATE)


def engine(separator: StemSeparator, on: ModelCard, stems: Sequence[str]) -> Engine:
    return Engine(
        separator=separator,
        scheduler=SegmentScheduler(window=2),
        card=on,
        stems=stems,
        share=Share(account_id=UUID(int=1)),
    )


def wishes(*stems: str, **options: Any) -> SeparationRequest:
    return SeparationRequest(**{"model": "odd", "stems": stems or STEMS} | options)


def song(frames: int, *, seed: int = 5) -> Samples:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (frames, 2)).astype(np.float32)
