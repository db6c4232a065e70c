import asyncio
import threading

import pytest

from orchestrator.delivery import DeliveryReport, timed

PATIENCE_S = 30.0


async def test_a_cancelled_encoding_has_left_its_thread_before_it_goes_on() -> None:
    begun, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def encode() -> None:
        begun.set()
        may_end.wait(PATIENCE_S)
        ended.set()

    encoding = asyncio.create_task(timed(DeliveryReport(), encode))
    await asyncio.to_thread(begun.wait, PATIENCE_S)
    encoding.cancel()
    await asyncio.wait({encoding}, timeout=0.05)
    assert not encoding.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await encoding
    assert ended.is_set()
