"""From windows of the mix to the tape: the heart of a run, apart from jobs and files."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from math import log10
from time import monotonic

import numpy as np
from numpy.typing import NDArray

from orchestrator.audio.normalisation import IDENTITY, Normalisation
from orchestrator.audio.overlap_add import OverlapAdd
from orchestrator.audio.segments import Segment, SegmentPlan
from orchestrator.mix import CHANNELS, Mix
from orchestrator.segment_scheduler import SegmentScheduler, Share
from orchestrator.separator import StemSeparator
from orchestrator.tape import Tape
from stemcore.errors import ErrorCode, Unavailable
from stemcore.model_card import ModelCard

Samples = NDArray[np.float32]

# Of a mix that its stems rebuild without any error.
PERFECT_NULL_DB = 300.0


@dataclass(slots=True, kw_only=True)
class NullTest:
    """How far the sum of all stems misses the mix."""

    mix_energy: float = 0.0
    missed_energy: float = 0.0

    def add(self, mix: Samples, stems: Samples) -> None:
        """Take a stretch: (channels, n) and (stems, channels, n)."""
        missed = mix - stems.sum(axis=0)
        self.mix_energy += float(np.square(mix, dtype=np.float64).sum())
        self.missed_energy += float(np.square(missed, dtype=np.float64).sum())

    @property
    def depth_db(self) -> float | None:
        """10 log10 of mix over miss; None for silence."""
        if self.mix_energy == 0:
            return None
        if self.missed_energy == 0:
            return PERFECT_NULL_DB
        return min(PERFECT_NULL_DB, 10 * log10(self.mix_energy / self.missed_energy))


@dataclass(slots=True, kw_only=True)
class JoinReport:
    """Seconds waited for the engine and spent on joining, and the null test."""

    inference_s: float = 0.0
    join_s: float = 0.0
    null: NullTest = field(default_factory=NullTest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """A separator with the model and the stems of one run, and whose turn it uses."""

    separator: StemSeparator
    scheduler: SegmentScheduler
    card: ModelCard
    stems: Sequence[str]
    share: Share

    async def separate(self, window: Samples) -> Samples:
        """(channels, samples) to (stems, channels, samples), when it is this job's turn."""
        async with self.scheduler.turn(self.share):
            return await self.separator.separate(window, card=self.card, stems=self.stems)


async def separate_onto_tape(
    mix: Mix,
    tape: Tape,
    *,
    engine: Engine,
    plan: SegmentPlan,
    on_segment: Callable[[int], Awaitable[None]],
) -> JoinReport:
    """Fill the tape. Results are joined in the order of segments, whatever order they come in.

    Memory: `window` segments in flight or waiting, one segment of sums, one finished block.
    """
    report = JoinReport()
    normalisation = mix.facts.normalisation if engine.card.normalisation == "track" else IDENTITY
    joiner = OverlapAdd(plan, stems=len(engine.stems), channels=CHANNELS)
    started = monotonic()
    async with aclosing(_in_order(mix, engine, plan, normalisation)) as separated:
        async for segment, stems in separated:
            arrived = monotonic()
            report.inference_s += arrived - started
            block = await asyncio.to_thread(
                _join, mix, joiner, segment, stems, normalisation=normalisation, null=report.null
            )
            await tape.append(block)
            started = monotonic()
            report.join_s += started - arrived
            await on_segment(segment.index + 1)
    return report


async def _in_order(
    mix: Mix, engine: Engine, plan: SegmentPlan, normalisation: Normalisation
) -> AsyncGenerator[tuple[Segment, Samples], None]:
    pending: deque[tuple[Segment, asyncio.Task[Samples]]] = deque()
    try:
        for segment in plan:
            window = await asyncio.to_thread(_window, mix, segment, normalisation)
            task = asyncio.create_task(engine.separate(window), name=f"segment {segment.index}")
            pending.append((segment, task))
            if len(pending) >= engine.scheduler.window:
                yield await _first(pending)
        while pending:
            yield await _first(pending)
    finally:
        tasks = [task for _, task in pending]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _first(
    pending: deque[tuple[Segment, asyncio.Task[Samples]]],
) -> tuple[Segment, Samples]:
    segment, task = pending[0]
    stems = await task
    pending.popleft()
    return segment, stems


def _window(mix: Mix, segment: Segment, normalisation: Normalisation) -> Samples:
    """What the model sees; outside the track it is zero after normalising, as in Demucs."""
    raw = mix.window(segment.window_start, segment.window_samples)
    window = np.zeros_like(raw)
    first = max(0, -segment.window_start)
    last = min(segment.window_samples, mix.facts.frames - segment.window_start)
    window[:, first:last] = normalisation.applied(raw[:, first:last])
    return window


def _join(
    mix: Mix,
    joiner: OverlapAdd,
    segment: Segment,
    stems: Samples,
    *,
    normalisation: Normalisation,
    null: NullTest,
) -> Samples:
    block = joiner.add(segment, stems)
    normalisation.undo(block)
    if not np.isfinite(block).all():
        raise Unavailable(ErrorCode.ENGINE_FAILED, "The model gave samples that are not numbers.")
    null.add(mix.window(segment.offset, block.shape[-1]), block)
    return block
