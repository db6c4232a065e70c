"""Several supervised processes: started together or in turn, stopped in the reverse order."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import cast

from stemyard.stack.process import ProcessPlan, SupervisedProcess


class Supervisor:
    """Made by `supervisor()`."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self._group = group
        self._processes: dict[str, SupervisedProcess] = {}

    def start(self, plan: ProcessPlan) -> SupervisedProcess:
        """Begins to run it; await its `ready()` to know that it serves."""
        process = SupervisedProcess(plan)
        self._processes[plan.name] = process
        self._group.create_task(process.keep_running(), name=f"keep {plan.name} running")
        return process

    def __getitem__(self, name: str) -> SupervisedProcess:
        return self._processes[name]

    async def stop(self) -> None:
        """The last started first, so that nobody loses what it leans on."""
        for process in reversed(self._processes.values()):
            await process.stop()

    def kill(self) -> None:
        """For the impatient: everything at once."""
        for process in self._processes.values():
            process.kill()


@asynccontextmanager
async def supervisor() -> AsyncGenerator[Supervisor]:
    """Nothing it started outlives the block.

    Run it in the main thread: the kernel ties processes to the thread that started them. A process
    that cannot be kept running cancels the block, and its ProcessFailed comes out of it; the
    block's own errors come out as they are.
    """
    try:
        async with asyncio.TaskGroup() as group:
            started = Supervisor(group)
            try:
                yield started
            finally:
                await _finished(started)
    except BaseExceptionGroup as errors:
        raise _first(errors) from errors


async def _finished(started: Supervisor) -> None:
    """Also when the waiting is cancelled once more: then by force."""
    try:
        await started.stop()
    except asyncio.CancelledError:
        started.kill()
        raise


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return error
