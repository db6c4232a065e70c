"""Whose segment goes to the inference server next, across all jobs of this worker."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID


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
    """A window of requests in flight: the highest priority first, among equals the account that
    has fewest under way, then the one that waits longest.

    The server's own queue stays short that way, so a short job overtakes a long one at the next
    segment. Weights of plans belong into `_best`.
    """

    def __init__(self, *, window: int) -> None:
        self.window = window
        self._under_way: Counter[UUID] = Counter()
        self._waiters: list[_Waiter] = []

    @asynccontextmanager
    async def turn(self, share: Share) -> AsyncGenerator[None]:
        """Wait for a place in the window and hold it."""
        await self._enter(share)
        try:
            yield
        finally:
            self._leave(share)

    async def _enter(self, share: Share) -> None:
        if self._under_way.total() < self.window and not self._waiters:
            self._under_way[share.account_id] += 1
            return
        waiter = _Waiter(share=share, turn=asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        try:
            await waiter.turn
        except asyncio.CancelledError:
            if waiter.turn.cancelled():
                self._forget(waiter)
            else:
                self._leave(share)
            raise

    def _leave(self, share: Share) -> None:
        self._under_way[share.account_id] -= 1
        self._under_way += Counter()
        while self._waiters and self._under_way.total() < self.window:
            chosen = self._best()
            self._forget(chosen)
            if chosen.turn.cancelled():
                continue
            self._under_way[chosen.share.account_id] += 1
            chosen.turn.set_result(None)

    def _forget(self, waiter: _Waiter) -> None:
        if waiter in self._waiters:
            self._waiters.remove(waiter)

    def _best(self) -> _Waiter:
        def rank(waiter: _Waiter) -> tuple[int, int]:
            return (-waiter.share.priority, self._under_way[waiter.share.account_id])

        return min(self._waiters, key=rank)
