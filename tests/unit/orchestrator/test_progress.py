from collections.abc import Mapping
from typing import Any, cast
from uuid import UUID

import pytest

from orchestrator.claims import Claim, ClaimBook
from orchestrator.progress import ThrottledProgress
from stemcore.errors import ErrorCode, LeaseLost, Unavailable

CLAIM = Claim(
    job_id=UUID(int=1),
    account_id=UUID(int=2),
    kind="separation",
    priority=0,
    parameters={},
    source_key="k",
    source_bytes=1,
    source_sha256="",
    lease_token=1,
    claims=1,
    queue_s=0.0,
    ledger={},
)


class Book:
    """Remembers progress."""

    def __init__(self, *, held: bool = True, away: bool = False) -> None:
        self.held = held
        self.away = away
        self.written: list[tuple[float, str, Mapping[str, Any]]] = []

    async def progress(
        self, claim: Claim, *, progress: float, stage: str, data: Mapping[str, Any]
    ) -> bool:
        if self.away:
            raise Unavailable(ErrorCode.SERVICE_UNAVAILABLE, "away")
        assert claim is CLAIM
        self.written.append((progress, stage, data))
        return self.held


class Clock:
    """Stands still until it is set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def throttled(book: Book, clock: Clock) -> ThrottledProgress:
    return ThrottledProgress(cast(ClaimBook, book), CLAIM, every_s=0.5, clock=clock)


async def test_a_stage_is_told_at_once_and_then_now_and_again() -> None:
    book, clock = Book(), Clock()
    tell = throttled(book, clock)
    await tell(0.0, stage="decoding")
    await tell(0.1, stage="separating")
    await tell(0.2, stage="separating")
    clock.now += 0.6
    await tell(0.3, stage="separating", eta_s=12.34)
    assert [(fraction, stage) for fraction, stage, _ in book.written] == [
        (0.0, "decoding"),
        (0.1, "separating"),
        (0.3, "separating"),
    ]
    assert book.written[-1][2] == {"eta_s": 12.3}


async def test_a_stale_claim_ends_the_run() -> None:
    with pytest.raises(LeaseLost):
        await throttled(Book(held=False), Clock())(0.5, stage="separating")


async def test_an_absent_database_costs_the_event_only() -> None:
    book = Book(away=True)
    await throttled(book, Clock())(0.5, stage="separating")
    assert book.written == []
