import asyncio
from uuid import UUID

import pytest

from orchestrator.claims import Interrupted
from orchestrator.segment_scheduler import HEAD_START_SEGMENTS, SegmentScheduler, Share

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


async def test_an_account_that_was_away_goes_first(bench: Bench) -> None:
    for name in "abc":
        await bench.start(name, Share(account_id=ALICE))
    await bench.start("bob", Share(account_id=BOB))
    await bench.end("a")
    assert bench.began == ["a", "b", "bob"]


@pytest.mark.parametrize("window", [1, 2, 3])
async def test_accounts_share_evenly_whatever_they_have_waiting(window: int) -> None:
    bench = Bench(SegmentScheduler(window=window))
    for number in range(40):
        await bench.start(f"a{number}", Share(account_id=ALICE))
    for number in range(12):
        await bench.start(f"b{number}", Share(account_id=BOB))
    for ended in range(20):
        await bench.end(bench.began[ended])
    later = bench.began[window + HEAD_START_SEGMENTS :][:16]
    assert sum(name.startswith("a") for name in later) == 8


async def test_jobs_of_one_account_take_turns_in_the_order_of_asking(bench: Bench) -> None:
    for name in ("long 1", "long 2", "long 3", "short 1", "long 4", "short 2"):
        await bench.start(name, Share(account_id=ALICE))
    for name in ("long 1", "long 2", "long 3", "short 1"):
        await bench.end(name)
    assert bench.began[2:] == ["long 3", "short 1", "long 4", "short 2"]


async def test_closing_lets_what_is_under_way_end_and_nothing_else_begin(bench: Bench) -> None:
    for name in "abcd":
        await bench.start(name, Share(account_id=ALICE))
    bench.scheduler.close()
    await settled()
    for name in "cd":
        with pytest.raises(Interrupted):
            await bench.tasks[name]
    for name in "ab":
        await bench.end(name)
    await bench.start("late", Share(account_id=ALICE))
    with pytest.raises(Interrupted):
        await bench.tasks["late"]
    assert bench.began == ["a", "b"]


async def test_a_waiter_cancelled_as_the_scheduler_closes_takes_no_place(bench: Bench) -> None:
    for name in "abc":
        await bench.start(name, Share(account_id=ALICE))
    bench.scheduler.close()
    bench.tasks["c"].cancel()
    await settled()
    assert bench.tasks["c"].cancelled()
    assert bench.scheduler._under_way == 2
    for name in "ab":
        await bench.end(name)
    assert bench.scheduler._under_way == 0


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
