"""A real server of the stack on its own, which a test may stop, freeze and start again."""

import os
import signal
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from stemyard.stack.process import ProcessPlan
from stemyard.stack.supervisor import Supervisor, supervisor


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerProcess:
    """Made by `running`; use it in the event loop it was made in."""

    plan: ProcessPlan
    processes: Supervisor

    @property
    def pid(self) -> int:
        pid = self.processes[self.plan.name].pid
        assert pid is not None, f"{self.plan.name} does not run"
        return pid

    async def stop(self) -> None:
        """In order; its port and its data stay."""
        await self.processes[self.plan.name].stop()

    async def start(self) -> None:
        """Ready again, on the same port."""
        await self.processes.start(self.plan).ready()

    def kill(self) -> None:
        """As a crash would; it stays away until `start`."""
        self.processes[self.plan.name].kill()

    @contextmanager
    def frozen(self) -> Generator[None]:
        """Connections stay open and nobody answers."""
        pid = self.pid
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)


@asynccontextmanager
async def running(plan: ProcessPlan) -> AsyncGenerator[ServerProcess]:
    """Ready when the block begins; ended when it has."""
    async with supervisor() as processes:
        server = ServerProcess(plan=plan, processes=processes)
        await server.start()
        yield server
