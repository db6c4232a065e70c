"""Who gets the engine: real jobs over a real database, and an engine that computes when told to.

The engine does one segment after the other, all of equal length, so that its time is the number of
segments it has done, and nothing here depends on the machine's.
"""

import asyncio
import dataclasses
from collections import Counter, deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import UUID

import numpy as np
import pytest
from numpy.typing import NDArray

from orchestrator.adapters.memory import MemorySeparator
from orchestrator.segment_scheduler import SegmentScheduler, Share
from stemcore.ids import new_id
from stemcore.jobs import JobStatus
from stemcore.model_card import ModelCard
from stemyard.stack.waiting import until
from tests.integration.orchestrator.cards import GAINS, SEGMENT_SAMPLES
from tests.integration.orchestrator.conftest import Floor, Jobs
from tests.integration.orchestrator.songs import song_of, wav

WINDOW = 2
SETTLED_WITHIN_S = 60.0
HOP_SAMPLES = int(0.75 * SEGMENT_SAMPLES)
PREVIEW_SEGMENTS = 2
LONG_SEGMENTS = 308
# How much later than alone a preview may be done, in segments.
OVERTAKEN_WITHIN = 3


def song(segments: int) -> bytes:
    return wav(song_of(segments * HOP_SAMPLES - 100), subtype="PCM_16")


class WatchedScheduler(SegmentScheduler):
    """Counts the segments that each account has waiting or under way."""

    def __init__(self, *, window: int) -> None:
        super().__init__(window=window)
        self.asked_for: Counter[UUID] = Counter()

    @asynccontextmanager
    async def turn(self, share: Share) -> AsyncGenerator[None]:
        self.asked_for[share.account_id] += 1
        try:
            async with super().turn(share):
                yield
        finally:
            self.asked_for[share.account_id] -= 1


class SteppedEngine:
    """A StemSeparator that does a segment at each step, the first come first; knows accounts by
    the stem they ask for."""

    def __init__(self) -> None:
        self._inner = MemorySeparator(GAINS)
        self._queue: deque[tuple[str, asyncio.Future[None]]] = deque()
        self.done: Counter[str] = Counter()

    async def separate(
        self, window: NDArray[np.float32], *, card: ModelCard, stems: Sequence[str]
    ) -> NDArray[np.float32]:
        turn = asyncio.get_running_loop().create_future()
        self._queue.append((stems[0], turn))
        await turn
        return await self._inner.separate(window, card=card, stems=stems)

    @property
    def waiting(self) -> int:
        return len(self._queue)

    def step(self) -> None:
        stem, turn = self._queue.popleft()
        self.done[stem] += 1
        turn.set_result(None)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bench:
    """An engine, a scheduler, and jobs of accounts that ask for a stem each."""

    floor: Floor
    jobs: Jobs
    engine: SteppedEngine
    scheduler: WatchedScheduler
    accounts: dict[str, UUID]

    @asynccontextmanager
    async def open(self, *, slots: int) -> AsyncGenerator[None]:
        async with AsyncExitStack() as stack:
            for _ in range(slots):
                await stack.enter_async_context(self.floor.open())
            yield

    async def submit(
        self, stem: str, segments: int, *, priority: int = 0, account: str | None = None
    ) -> UUID:
        account_id = self.accounts[account or stem]
        return await self.jobs.submit(
            song(segments), stems=(stem,), account_id=account_id, priority=priority
        )

    async def settled(self, left: dict[str, int]) -> None:
        """Wait until every account asks for all it can: of its job, that many segments are left.

        A job asks for a segment more than the window, which stands ready.
        """
        wanted: Counter[UUID] = Counter()
        for stem, segments in left.items():
            wanted[self.accounts[stem]] += min(WINDOW + 1, segments)

        async def is_settled() -> bool:
            asked_for = +self.scheduler.asked_for
            return asked_for == +wanted and self.engine.waiting == min(WINDOW, wanted.total())

        await until(is_settled, timeout_s=SETTLED_WITHIN_S)


@pytest.fixture
def bench(floor: Floor, jobs: Jobs) -> Bench:
    engine, scheduler = SteppedEngine(), WatchedScheduler(window=WINDOW)
    return Bench(
        floor=dataclasses.replace(floor, separator=engine, scheduler=scheduler),
        jobs=jobs,
        engine=engine,
        scheduler=scheduler,
        accounts={stem: new_id() for stem in GAINS},
    )


async def steps_until_done(bench: Bench, preview: UUID, *, long: bool) -> int:
    """The engine's time from the moment the preview asks for it until it needs it no more."""
    steps = 0
    while bench.engine.done["bass"] < PREVIEW_SEGMENTS:
        await bench.settled(
            {
                "bass": PREVIEW_SEGMENTS - bench.engine.done["bass"],
                **({"drums": LONG_SEGMENTS - bench.engine.done["drums"]} if long else {}),
            }
        )
        bench.engine.step()
        steps += 1
    await bench.jobs.become(preview, JobStatus.SUCCEEDED)
    return steps


async def test_a_preview_alone_takes_its_own_time(bench: Bench) -> None:
    async with bench.open(slots=2):
        preview = await bench.submit("bass", PREVIEW_SEGMENTS)
        assert await steps_until_done(bench, preview, long=False) == PREVIEW_SEGMENTS


@pytest.mark.parametrize("priority", [0, 1])
@pytest.mark.parametrize("already_done", [0, 5])
async def test_a_preview_overtakes_a_long_job_of_another_account(
    bench: Bench, priority: int, already_done: int
) -> None:
    async with bench.open(slots=2):
        long = await bench.submit("drums", LONG_SEGMENTS)
        for done in range(already_done):
            await bench.settled({"drums": LONG_SEGMENTS - done})
            bench.engine.step()
        await bench.settled({"drums": LONG_SEGMENTS - already_done})
        preview = await bench.submit("bass", PREVIEW_SEGMENTS, priority=priority)
        steps = await steps_until_done(bench, preview, long=True)
        assert steps <= PREVIEW_SEGMENTS + OVERTAKEN_WITHIN
        assert (await bench.jobs.row(long))["status"] == "running"


async def test_a_preview_overtakes_a_long_job_of_its_own_account(bench: Bench) -> None:
    bench.accounts["bass"] = bench.accounts["drums"]
    async with bench.open(slots=2):
        await bench.submit("drums", LONG_SEGMENTS)
        await bench.settled({"drums": LONG_SEGMENTS})
        preview = await bench.submit("bass", PREVIEW_SEGMENTS)
        steps = await steps_until_done(bench, preview, long=True)
        assert steps <= PREVIEW_SEGMENTS + OVERTAKEN_WITHIN


async def test_two_accounts_with_ten_jobs_each_progress_evenly(bench: Bench) -> None:
    jobs, segments = 10, 6
    stems = ("drums", "bass")
    for stem in stems:
        for _ in range(jobs):
            await bench.submit(stem, segments)
    total = len(stems) * jobs * segments
    ratios: list[float] = []
    async with bench.open(slots=2):
        while (done := bench.engine.done).total() < total:
            left = {s: segments - done[s] % segments for s in stems if done[s] < jobs * segments}
            await bench.settled(left)
            bench.engine.step()
            if done.total() % (total // 4) == 0:
                ratios.append(done["drums"] / done["bass"])
    assert len(ratios) == 4
    assert all(0.8 <= ratio <= 1.25 for ratio in ratios), ratios
