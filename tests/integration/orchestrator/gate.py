"""An engine that stops midway until it is let go."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from orchestrator.adapters.memory import MemorySeparator
from stemcore.model_card import ModelCard
from tests.integration.orchestrator.cards import GAINS, SEGMENT_SAMPLES
from tests.integration.orchestrator.conftest import Floor, Jobs
from tests.integration.orchestrator.songs import wav
from tests.integration.stemcore.encoded import tones


class Gate:
    """A separator that stops before one of its segments until it is let go."""

    def __init__(self, *, before: int) -> None:
        self._inner = MemorySeparator(GAINS)
        self._before = before
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()

    async def separate(
        self, window: NDArray[np.float32], *, card: ModelCard, stems: Sequence[str]
    ) -> NDArray[np.float32]:
        if self._inner.segments >= self._before:
            self.reached.set()
            await self.opened.wait()
        return await self._inner.separate(window, card=card, stems=stems)


async def stopped_midway(floor: Floor, jobs: Jobs) -> tuple[Gate, UUID]:
    gate = Gate(before=2)
    floor.separator = gate
    job_id = await jobs.submit(wav(tones(10 * SEGMENT_SAMPLES)))
    return gate, job_id
