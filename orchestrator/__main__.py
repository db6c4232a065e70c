"""`python -m orchestrator`: settings from the environment, at work until told to stop."""

import asyncio
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import structlog

from orchestrator.allocator import give_large_blocks_back
from orchestrator.composition import Orchestrator, Replacements, build
from orchestrator.settings import OrchestratorSettings
from stemcore.audio_decoder import SandboxTooWeak
from stemcore.environment import from_environment
from stemcore.telemetry.context import with_trace_id
from stemcore.telemetry.logs import configure_logs

# Of the grace at the end: to finish jobs, and to finish segments. The rest is for giving back.
FINISHING_SHARE, DRAINING_SHARE = 0.4, 0.5

_log = structlog.get_logger(__name__)


async def run(orchestrator: Orchestrator, *, stopping: asyncio.Event, grace_s: float) -> None:
    """Until `stopping`; then no job is taken, and all is over within `grace_s`.

    Jobs that soon end, end here; of the others the segments under way end, and they are
    given back.
    """
    async with asyncio.TaskGroup() as group:
        intakes = [
            group.create_task(intake.run(), name=f"intake {index}")
            for index, intake in enumerate(orchestrator.intakes)
        ]
        side = [
            group.create_task(orchestrator.notifications.run(), name="notifications"),
            group.create_task(orchestrator.sweeper.run(), name="sweeper"),
            group.create_task(orchestrator.heartbeats.run(), name="heartbeats"),
        ]
        if orchestrator.gauges is not None:
            side.append(group.create_task(orchestrator.gauges.run(), name="gauges"))
        slots = [
            group.create_task(slot.run(stopping), name=f"slot {index}")
            for index, slot in enumerate(orchestrator.slots)
        ]
        _log.info("orchestrator_started", slots=len(slots))
        await stopping.wait()
        _log.info("orchestrator_stopping")
        for task in intakes:
            task.cancel()
        await asyncio.wait(slots, timeout=grace_s * FINISHING_SHARE)
        orchestrator.scheduler.close()
        await asyncio.wait(slots, timeout=grace_s * DRAINING_SHARE)
        for task in (*slots, *side):
            task.cancel()


async def main(settings: OrchestratorSettings, *, instead: Replacements | None = None) -> None:
    """Until SIGTERM or SIGINT."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(max_workers=8 + 4 * settings.slots))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with build(settings, instead=instead or Replacements()) as orchestrator:
        await run(orchestrator, stopping=stopping, grace_s=settings.shutdown_grace_s)
    _log.info("orchestrator_stopped")


if __name__ == "__main__":
    give_large_blocks_back()
    configuration = from_environment(OrchestratorSettings)
    configure_logs(service="orchestrator", level=configuration.log_level, also=[with_trace_id])
    try:
        with suppress(KeyboardInterrupt):
            asyncio.run(main(configuration))
    except SandboxTooWeak as error:
        _log.critical("sandbox_too_weak", missing=error.missing, reason=str(error))
        sys.exit(1)
