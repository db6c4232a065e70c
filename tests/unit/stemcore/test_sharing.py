import asyncio

import pytest

from stemcore.sharing import Shared


class Oracle:
    """Answers with the number of the question, when it is let."""

    def __init__(self) -> None:
        self.asked = 0
        self.may_answer = asyncio.Event()
        self.fails = False

    async def ask(self) -> int:
        self.asked += 1
        await self.may_answer.wait()
        if self.fails:
            raise LookupError("no answer")
        return self.asked


async def test_all_who_ask_at_once_share_one_answer_and_the_next_asks_again() -> None:
    oracle = Oracle()
    shared = Shared(oracle.ask, name="ask")
    waiting = [asyncio.create_task(shared.answer()) for _ in range(5)]
    await asyncio.sleep(0)
    oracle.may_answer.set()
    assert await asyncio.gather(*waiting) == [1] * 5
    assert await shared.answer() == 2


async def test_an_error_is_shared_and_not_kept() -> None:
    oracle = Oracle()
    oracle.fails = True
    shared = Shared(oracle.ask, name="ask")
    waiting = [asyncio.create_task(shared.answer()) for _ in range(3)]
    await asyncio.sleep(0)
    oracle.may_answer.set()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(answer) for answer in answers] == [LookupError] * 3
    oracle.fails = False
    assert await shared.answer() == 2


async def test_who_gives_up_leaves_the_question_to_the_others() -> None:
    oracle = Oracle()
    shared = Shared(oracle.ask, name="ask")
    impatient, patient = (asyncio.create_task(shared.answer()) for _ in range(2))
    await asyncio.sleep(0)
    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    oracle.may_answer.set()
    assert await patient == 1
