import asyncio

import pytest

from stemcore.tasks import to_its_end


async def test_a_cancellation_waits_for_the_work() -> None:
    begun, may_end, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        await may_end.wait()
        ended.set()

    waiting = asyncio.create_task(to_its_end(work()))
    await begun.wait()
    waiting.cancel()
    await asyncio.sleep(0)
    assert not waiting.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ended.is_set()


async def test_repeated_cancellations_wait_too() -> None:
    may_end = asyncio.Event()
    waiting = asyncio.create_task(to_its_end(may_end.wait()))
    for _ in range(3):
        await asyncio.sleep(0)
        waiting.cancel()
    await asyncio.sleep(0)
    assert not waiting.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_the_outcome_is_handed_on() -> None:
    async def value() -> int:
        return 7

    async def failure() -> int:
        raise LookupError

    assert await to_its_end(value()) == 7
    with pytest.raises(LookupError):
        await to_its_end(failure())
