"""Whose segment goes to the inference server next, across all jobs of this worker."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

from orchestrator.claims import Interrupted
from orchestrator.fair_shares import FairShares

# Segments of a preview of ten seconds: it need not take turns with an album.
HEAD_START_SEGMENTS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """On whose behalf a segment is computed."""

    account_id: UUID
    priority: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Waiter:
    share: Share
    turn: asyncio.Future[None]


class SegmentScheduler:
    """A window of requests in flight: the highest priority first, among equals the accounts in
    equal shares, within an account the one that waits longest.

    The server's own queue stays short that way, so a short job overtakes a long one at the next
    segment. Segments of one job begin in their order.
    """

    def __init__(self, *, window: int) -> None:
        self.window = window
        self._under_way = 0
        self._waiters: list[_Waiter] = []
        self._shares = FairShares(head_start=HEAD_START_SEGMENTS)
        self._is_closed = False

    @asynccontextmanager
    async def turn(self, share: Share) -> AsyncGenerator[None]:
        """Wait for a place in the window and hold it; raises Interrupted once closed."""
        await self._enter(share)
        try:
            yield
        finally:
            self._leave()

    def close(self) -> None:
        """Let what is under way end, and nothing else begin."""
        self._is_closed = True
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.turn.done():
                waiter.turn.set_exception(Interrupted())

    async def _enter(self, share: Share) -> None:
        if self._is_closed:
            raise Interrupted
        waiter = _Waiter(share=share, turn=asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        self._give_turns()
        try:
            await waiter.turn
        except asyncio.CancelledError:
            if waiter.turn.cancelled():
                self._forget(waiter)
            elif waiter.turn.exception() is None:
                self._leave()
            raise

    def _leave(self) -> None:
        self._under_way -= 1
        self._give_turns()

    def _give_turns(self) -> None:
        while self._waiters and self._under_way < self.window:
            chosen = min(self._waiters, key=self._rank)
            self._forget(chosen)
            if chosen.turn.cancelled():
                continue
            self._under_way += 1
            self._shares.take(chosen.share.account_id)
            chosen.turn.set_result(None)

    def _forget(self, waiter: _Waiter) -> None:
        if waiter in self._waiters:
            self._waiters.remove(waiter)

    def _rank(self, waiter: _Waiter) -> tuple[int, int]:
        return (-waiter.share.priority, self._shares.next_turn(waiter.share.account_id))
