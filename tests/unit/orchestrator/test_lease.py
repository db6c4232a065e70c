import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from time import monotonic
from uuid import UUID

import pytest

from orchestrator.claims import Claim
from orchestrator.lease import Lease
from stemcore.errors import ErrorCode, Unavailable
from stemyard.stack.waiting import until

LENGTH_S = 0.3
LONG_S = 3600.0
PATIENCE_S = 20.0

CLAIM = Claim(
    job_id=UUID(int=1),
    account_id=UUID(int=2),
    kind="separation",
    priority=0,
    parameters={},
    source_key="key",
    source_bytes=1,
    source_sha256=None,
    lease_token=1,
    claims=1,
    queue_s=0.0,
    ledger={},
)


class Book:
    """What a lease needs of a book of claims: it answers as told, and hints when told."""

    def __init__(self, answer: Callable[[], Awaitable[bool]]) -> None:
        self.hint = asyncio.Event()
        self.asked = 0
        self._answer = answer

    async def renew(self, claim: Claim) -> bool:
        assert claim is CLAIM
        self.asked += 1
        return await self._answer()

    @contextmanager
    def changed(self, claim: Claim) -> Generator[asyncio.Event]:
        assert claim is CLAIM
        yield self.hint


async def held() -> bool:
    return True


async def lost() -> bool:
    return False


async def silent() -> bool:
    return await asyncio.Event().wait()


async def away() -> bool:
    raise Unavailable(ErrorCode.SERVICE_UNAVAILABLE, "away")


def lease_on(book: Book, *, length_s: float = LENGTH_S) -> Lease:
    return Lease(book, CLAIM, length_s=length_s, asked_at_s=monotonic())  # type: ignore[arg-type]


async def first_of(lease: Lease) -> str:
    """Whether it is taken or runs out first."""
    taken = asyncio.create_task(lease.taken(), name="taken")
    expired = asyncio.create_task(lease.expired(), name="expired")
    async with asyncio.timeout(PATIENCE_S):
        done, rest = await asyncio.wait((taken, expired), return_when=asyncio.FIRST_COMPLETED)
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
    return done.pop().get_name()


@pytest.mark.parametrize("answer", [silent, away])
async def test_it_runs_out_while_nobody_answers(answer: Callable[[], Awaitable[bool]]) -> None:
    book = Book(answer)
    began = monotonic()
    lease = lease_on(book)
    assert await first_of(lease) == "expired"
    assert monotonic() - began >= LENGTH_S
    assert book.asked > 0
    assert lease.is_unanswered


async def test_who_sleeps_beyond_it_cannot_blame_the_database() -> None:
    lease = lease_on(Book(held), length_s=0.0)
    await lease.expired()
    assert not lease.is_unanswered


async def test_a_hint_tells_at_once_that_it_was_taken() -> None:
    book = Book(lost)
    lease = lease_on(book, length_s=LONG_S)
    book.hint.set()
    assert await first_of(lease) == "taken"


async def test_a_renewal_counts_from_the_asking_not_from_the_answer() -> None:
    answered = asyncio.Event()

    async def late() -> bool:
        await answered.wait()
        return True

    book = Book(late)
    lease = lease_on(book, length_s=LONG_S)
    first_end_s = lease._held_until_s
    book.hint.set()
    renewing = asyncio.create_task(lease.taken())

    async def is_asked() -> bool:
        return book.asked > 0

    async def is_renewed() -> bool:
        return lease._held_until_s > first_end_s

    await until(is_asked, timeout_s=PATIENCE_S)
    asked_by_s = monotonic()
    answered.set()
    await until(is_renewed, timeout_s=PATIENCE_S)
    assert lease._held_until_s <= asked_by_s + LONG_S
    assert not lease.is_unanswered
    renewing.cancel()
    await asyncio.gather(renewing, return_exceptions=True)
