import asyncio

import pytest

from gateway.lifetime import Lifetime


async def test_a_side_task_that_dies_stops_the_process() -> None:
    async def dying() -> None:
        raise RuntimeError("no more")

    lifetime = Lifetime()
    async with asyncio.timeout(5), lifetime.side_task(dying(), name="dying"):
        await lifetime.stopping.wait()
    assert lifetime.failed


@pytest.mark.parametrize("endless", [False, True])
async def test_a_side_task_that_ends_or_is_ended_stops_nothing(endless: bool) -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            if endless:
                await asyncio.Event().wait()
        finally:
            ended.set()

    lifetime = Lifetime()
    async with lifetime.side_task(work(), name="work"):
        await asyncio.sleep(0)
    assert ended.is_set()
    assert not lifetime.failed
    assert not lifetime.stopping.is_set()
