import asyncio
from uuid import UUID

import pytest

from orchestrator.segment_scheduler import SegmentScheduler, Share

ALICE, BOB = UUID(int=1), UUID(int=2)


class Bench:
    """Segments that run until told to end, and the order in which they began."""

    def __init__(self, scheduler: SegmentScheduler) -> None:
        self.scheduler = scheduler
        self.began: list[str] = []
        self._ends: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def start(self, name: str, share: Share) -> None:
        self._ends[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._run(name, share))
        await settled()

    async def end(self, name: str) -> None:
        self._ends[name].set()
        await self.tasks[name]
        await settled()

    async def _run(self, name: str, share: Share) -> None:
        async with self.scheduler.turn(share):
            self.began.append(name)
            await self._ends[name].wait()


async def settled() -> None:
    """Let every task run as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.fixture
def bench() -> Bench:
    return Bench(SegmentScheduler(window=2))


async def test_no_more_than_the_window_is_under_way(bench: Bench) -> None:
    for name in "abc":
        await bench.start(name, Share(account_id=ALICE))
    assert bench.began == ["a", "b"]
    await bench.end("b")
    assert bench.began == ["a", "b", "c"]


async def test_a_higher_priority_overtakes(bench: Bench) -> None:
    for name in "abc":
        await bench.start(name, Share(account_id=ALICE))
    await bench.start("urgent", Share(account_id=ALICE, priority=5))
    await bench.end("a")
    assert bench.began == ["a", "b", "urgent"]


async def test_the_account_with_less_under_way_goes_first(bench: Bench) -> None:
    for name in "abc":
        await bench.start(name, Share(account_id=ALICE))
    await bench.start("bob", Share(account_id=BOB))
    await bench.end("a")
    assert bench.began == ["a", "b", "bob"]


async def test_a_cancelled_waiter_leaves_its_place(bench: Bench) -> None:
    for name in "abcd":
        await bench.start(name, Share(account_id=ALICE))
    bench.tasks["c"].cancel()
    await settled()
    await bench.end("a")
    assert bench.began == ["a", "b", "d"]


async def test_a_place_given_to_a_task_cancelled_meanwhile_goes_on(bench: Bench) -> None:
    for name in "abcd":
        await bench.start(name, Share(account_id=ALICE))
    bench.tasks["a"].cancel()
    bench.tasks["c"].cancel()
    await settled()
    await bench.end("b")
    assert bench.began == ["a", "b", "d"]
