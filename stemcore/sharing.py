"""One question at a time, its answer shared by all who wait for it."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Shared(Generic[T]):
    """Whoever asks while a question is under way gets its answer, or its error."""

    def __init__(self, ask: Callable[[], Coroutine[Any, Any, T]], *, name: str) -> None:
        self._ask = ask
        self._name = name
        self._asking: asyncio.Task[T] | None = None

    async def answer(self) -> T:
        """One who gives up leaves the question to the others."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask(), name=self._name)
            self._asking.add_done_callback(_seen)
        return await asyncio.shield(self._asking)


def _seen(task: asyncio.Task[Any]) -> None:
    """Nobody may be left to hear of its error."""
    if not task.cancelled():
        task.exception()
