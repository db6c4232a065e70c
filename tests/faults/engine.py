"""An engine of fixed time, and a record of its calls that other processes can read."""

import asyncio
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orchestrator.adapters.memory import MemorySeparator
from stemcore.model_card import ModelCard
from tests.integration.orchestrator.cards import GAINS

Samples = NDArray[np.float32]


class SlowSeparator:
    """A StemSeparator by gains that takes `delay_s` for each segment, however many there are."""

    def __init__(self, *, delay_s: float, record: Path) -> None:
        self._inner = MemorySeparator(GAINS)
        self._delay_s = delay_s
        self._record = record

    async def separate(self, window: Samples, *, card: ModelCard, stems: Sequence[str]) -> Samples:
        """(channels, samples) to (stems, channels, samples)."""
        self._note("begun")
        await asyncio.sleep(self._delay_s)
        answer = await self._inner.separate(window, card=card, stems=stems)
        self._note("ended")
        return answer

    def _note(self, what: str) -> None:
        with self._record.open("a") as record:
            record.write(f"{os.getpid()} {what}\n")


def calls(record: Path, *, pid: int) -> Counter[str]:
    """How many segments the process has begun and ended; one that was cancelled never ends."""
    if not record.exists():
        return Counter()
    lines = (line.split() for line in record.read_text().splitlines())
    return Counter(what for writer, what in lines if int(writer) == pid)
