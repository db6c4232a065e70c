"""PostgreSQL, Triton, gateway and orchestrator on one machine: nothing but pip.

Objects lie in a folder, and the orchestrator reads the outbox table itself.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from stemyard.stack.assembly import Stack, lay_foundation, start_services
from stemyard.stack.ports import FreePorts
from stemyard.stack.runtime import RuntimeDirectory
from stemyard.stack.settings import StackSettings
from stemyard.stack.supervisor import supervisor


@asynccontextmanager
async def one_machine_stack(
    settings: StackSettings, *, runtime: RuntimeDirectory
) -> AsyncGenerator[Stack]:
    """Ready when the block begins; everything it started has ended when the block has.

    Raises StackError when something does not come up.
    """
    ports = FreePorts()
    async with supervisor() as processes:
        foundation = await lay_foundation(processes, settings, runtime, ports)
        environment = {"STORAGE__ROOT": str(runtime.objects)}
        services = await start_services(
            processes, foundation, settings, runtime, ports, environment=environment
        )
        stack = Stack(
            runtime=runtime, processes=processes, foundation=foundation, services=services
        )
        await stack.ready()
        yield stack
