"""From windows of the mix to the tape: the heart of a run, apart from jobs and files."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import numpy as np
from numpy.typing import NDArray

from orchestrator.audio.joiner import Joiner, joiner_of
from orchestrator.audio.segments import Plan, Segment
from orchestrator.finishing import Finishing, Recipe, normalisation_of, require_numbers
from orchestrator.mix import CHANNELS, Mix
from orchestrator.null_test import NullTest
from orchestrator.pass_mean import PassMean
from orchestrator.segment_scheduler import SegmentScheduler, Share
from orchestrator.separator import StemSeparator
from orchestrator.tape import Tape
from stemcore.model_card import ModelCard
from stemcore.tasks import to_its_end

Samples = NDArray[np.float32]
OnSegment = Callable[[int], Awaitable[None]]


@dataclass(slots=True, kw_only=True)
class JoinReport:
    """Seconds waited for the engine and spent on joining, and the null test of the stems."""

    inference_s: float = 0.0
    join_s: float = 0.0
    segments: int = 0
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Separation:
    """A track on its way through a model, once or, delayed anew each time, several times."""

    mix: Mix
    engine: Engine
    plans: Sequence[Plan]
    recipe: Recipe
    scratch: Path

    async def onto(self, tape: Tape, *, on_segment: OnSegment) -> JoinReport:
        """Fill the tape. Windows are joined in their order, whatever order they come back in.

        Memory: `window` segments and one in flight or waiting, one segment of sums, one finished
        block.
        """
        report = JoinReport()
        finishing = Finishing(self.recipe, mix=self.mix, card=self.engine.card, null=report.null)
        stems = len(self.engine.stems)
        with PassMean(self.scratch, passes=len(self.plans), stems=stems) as mean:
            for run, plan in enumerate(self.plans):
                take = _Run(index=run, plan=plan, mean=mean, finishing=finishing, stems=stems)
                await self._pass(take, plan, tape, report, on_segment)
        return report

    async def _pass(
        self, run: "_Run", plan: Plan, tape: Tape, report: JoinReport, on_segment: OnSegment
    ) -> None:
        started = monotonic()
        async with aclosing(_in_order(self.mix, self.engine, plan)) as separated:
            async for segment, stems in separated:
                arrived = monotonic()
                report.inference_s += arrived - started
                # Closed under the thread, the scratch file could be another one already.
                block = await to_its_end(asyncio.to_thread(run.take, segment, stems))
                if block is not None:
                    await tape.append(block)
                started = monotonic()
                report.join_s += started - arrived
                report.segments += 1
                await on_segment(report.segments)


class _Run:
    """One run over the track; what comes before the track, its delay, is left out."""

    def __init__(
        self, *, index: int, plan: Plan, mean: PassMean, finishing: Finishing, stems: int
    ) -> None:
        self._index = index
        self._joiner: Joiner = joiner_of(plan, stems=stems, channels=CHANNELS)
        self._mean = mean
        self._finishing = finishing
        self._position = -plan.delay_samples

    def take(self, segment: Segment, stems: Samples) -> Samples | None:
        """The next window's stems; gives what of the files is finished by it."""
        block = self._joiner.add(segment, stems)
        start, self._position = self._position, self._position + block.shape[-1]
        skipped = min(max(0, -start), block.shape[-1])
        if skipped == block.shape[-1]:
            return None
        block = block[..., skipped:]
        mean = self._mean.take(block, run=self._index, position=start + skipped)
        if mean is None:
            require_numbers(block)
            return None
        return self._finishing.take(mean)


async def _in_order(
    mix: Mix, engine: Engine, plan: Plan
) -> AsyncGenerator[tuple[Segment, Samples], None]:
    pending: deque[tuple[Segment, asyncio.Task[Samples]]] = deque()
    try:
        for segment in plan:
            window = await asyncio.to_thread(_window, mix, segment, engine.card)
            task = asyncio.create_task(engine.separate(window), name=f"segment {segment.index}")
            pending.append((segment, task))
            # One stands ready beside those in flight, so that the server never waits for a join.
            if len(pending) > engine.scheduler.window:
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


def _window(mix: Mix, segment: Segment, card: ModelCard) -> Samples:
    """What the model sees; outside the track it is zero after normalising, as in Demucs."""
    raw = mix.window(segment.window_start, segment.window_samples)
    window = np.zeros_like(raw)
    inside = mix.inside(segment.window_start, segment.window_samples)
    window[:, inside] = normalisation_of(mix, card).applied(raw[:, inside])
    return window
