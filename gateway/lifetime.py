"""When to stop: one flag that the server sets and that endless responses watch."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Coroutine
from typing import Any

import structlog

_log = structlog.get_logger(__name__)


class Lifetime:
    """The process' wish to go on; `failed` tells that a side task ended it."""

    def __init__(self) -> None:
        self.stopping = asyncio.Event()
        self.failed = False

    def stop(self) -> None:
        """Ask everything endless to end."""
        self.stopping.set()

    @contextlib.asynccontextmanager
    async def side_task(
        self, work: Coroutine[Any, Any, None], *, name: str
    ) -> AsyncGenerator[None]:
        """Run `work` beside the server; if it dies, the process stops."""
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._on_done)
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task

    def _on_done(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or (error := task.exception()) is None:
            return
        _log.critical("side_task_died", task=task.get_name(), exc_info=error)
        self.failed = True
        self.stop()
