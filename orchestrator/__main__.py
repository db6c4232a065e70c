"""The composition root: builds everything from settings and runs until told to stop."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from prometheus_client import CollectorRegistry

from orchestrator.adapters.encoder import FileEncoder
from orchestrator.adapters.postgres import PostgresClaims
from orchestrator.adapters.telemetry import Telemetry
from orchestrator.adapters.triton import TritonSeparator
from orchestrator.allocator import give_large_blocks_back
from orchestrator.dispatch import DispatchPath
from orchestrator.health import checks
from orchestrator.intake import Intake
from orchestrator.job_requests import JobRequests
from orchestrator.metrics import OrchestratorMetrics
from orchestrator.models import Models
from orchestrator.scratch import open_scratch
from orchestrator.segment_scheduler import SegmentScheduler
from orchestrator.separation import SeparationRunner, Workshop
from orchestrator.separator import StemSeparator
from orchestrator.settings import OrchestratorSettings
from orchestrator.slots import Slot, SlotRules
from orchestrator.submissions import Submissions
from orchestrator.sweeper import Sweeper, SweepRules
from stemcore.audio_decoder import SandboxTooWeak, open_decoder
from stemcore.bus.direct import DirectBus
from stemcore.bus.kafka.settings import KafkaSettings
from stemcore.bus.kafka.source import KafkaSource
from stemcore.bus.kafka.topics import KafkaTopics
from stemcore.catalogue.port import ModelCatalogue
from stemcore.catalogue.triton import TritonCatalogue, open_triton
from stemcore.database.notifications import Notifications
from stemcore.database.pool import open_pool
from stemcore.health import from_threads
from stemcore.ids import new_id
from stemcore.separation_request import SEPARATION
from stemcore.storage.settings import open_store
from stemcore.telemetry.context import with_trace_id
from stemcore.telemetry.heartbeats import Heartbeats
from stemcore.telemetry.logs import configure_logs
from stemcore.telemetry.metrics_door import metrics_door
from stemcore.telemetry.state_gauges import StateGauges
from stemcore.telemetry.traces import Tracing
from stemcore.topics import DEAD_LETTERS_TOPIC, EVENTS_TOPIC, JOBS_TOPIC, SUBMISSIONS_TOPIC

if TYPE_CHECKING:
    from stemcore.database.pool import Pool

# Of the grace at the end: to finish jobs, and to finish segments. The rest is for giving back.
FINISHING_SHARE, DRAINING_SHARE = 0.5, 0.3

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacements:
    """Adapters to use instead of the real ones, where a test has no such server."""

    catalogue: ModelCatalogue | None = None
    separator: StemSeparator | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Orchestrator:
    """The parts that run side by side."""

    notifications: Notifications
    intakes: Sequence[Intake]
    sweeper: Sweeper
    slots: Sequence[Slot]
    scheduler: SegmentScheduler
    heartbeats: Heartbeats
    gauges: StateGauges | None


@asynccontextmanager
async def build(
    settings: OrchestratorSettings, *, instead: Replacements
) -> AsyncGenerator[Orchestrator]:
    """Everything, closed again in the opposite order."""
    worker = f"{socket.gethostname()}-{os.getpid()}-{new_id().hex[-8:]}"
    registry, heartbeats = CollectorRegistry(), Heartbeats()
    metrics = OrchestratorMetrics.on(registry)
    metrics.window.set(settings.triton.window)
    async with AsyncExitStack() as stack:
        tracing = await stack.enter_async_context(
            Tracing.of(settings.traces, service="orchestrator")
        )
        watch = Telemetry(
            tracing.tracer, metrics, heartbeats, worker=worker, engine=settings.triton.address
        )
        scratch = stack.enter_context(open_scratch(settings.scratch.root, worker=worker))
        pool = await stack.enter_async_context(open_pool(settings.database))
        client = await stack.enter_async_context(open_triton(settings.triton))
        notifications = Notifications(settings.database)
        catalogue = instead.catalogue or TritonCatalogue(
            client, timeout_s=settings.triton.metadata_timeout_s
        )
        models = Models(catalogue, patience_s=settings.model_patience_s)
        store = await stack.enter_async_context(open_store(settings.storage))
        decoder = await stack.enter_async_context(
            open_decoder(settings.sandbox, limits=settings.limits)
        )
        lease = settings.lease
        claims = PostgresClaims(pool, notifications, owner=worker, lease_length_s=lease.length_s)
        scheduler = SegmentScheduler(window=settings.triton.window)
        workshop = Workshop(
            claims=claims,
            store=store,
            scratch=scratch,
            models=models,
            separator=instead.separator
            or TritonSeparator(client, catalogue, settings.triton, watch=watch.call),
            scheduler=scheduler,
            encoder=FileEncoder(),
            decoder=decoder,
            watch=watch,
        )
        runners = {SEPARATION: SeparationRunner(workshop)}
        rules = SlotRules(
            lease_length_s=lease.length_s,
            max_claims=lease.max_claims,
            backoff_s=lease.backoff_s,
            progress_every_s=settings.progress_every_s,
        )
        if settings.kafka is None:
            intakes = [_direct_intake(pool, notifications, watch=watch)]
        else:
            submissions = Submissions(
                settings.submissions,
                catalogue=catalogue,
                store=store,
                max_source_bytes=settings.limits.max_bytes,
            )
            intakes = _kafka_intakes(settings.kafka, pool, submissions, watch, metrics)
        gauges = None
        if settings.metrics.port is not None:
            gauges = StateGauges(pool, catalogue.models)
            registry.register(gauges)
        needed = checks(pool, catalogue=catalogue, store=store, kafka=settings.kafka)
        stack.enter_context(
            metrics_door(
                settings.metrics, registry, live=heartbeats.silent, ready=from_threads(needed)
            )
        )
        yield Orchestrator(
            notifications=notifications,
            intakes=intakes,
            sweeper=Sweeper(
                pool,
                store,
                rules=SweepRules(
                    period_s=settings.sweep_period_s,
                    undispatched_after_s=settings.undispatched_after_s,
                    doomed_for_s=settings.doomed_for_s,
                    max_claims=lease.max_claims,
                ),
                dispatched=watch.dispatched,
                watch=watch,
            ),
            slots=[
                Slot(claims, runners, rules=rules, ready=models.any_usable, watch=watch)
                for _ in range(settings.slots)
            ],
            scheduler=scheduler,
            heartbeats=heartbeats,
            gauges=gauges,
        )


def _direct_intake(pool: "Pool", notifications: Notifications, *, watch: Telemetry) -> Intake:
    bus = DirectBus(
        pool, notifications, topic=JOBS_TOPIC, unread=(EVENTS_TOPIC, DEAD_LETTERS_TOPIC)
    )
    return Intake(
        pool,
        bus,
        JobRequests(),
        path=DispatchPath.DIRECT,
        dispatched=watch.dispatched,
        watch=watch,
    )


def _kafka_intakes(
    settings: KafkaSettings,
    pool: "Pool",
    submissions: Submissions,
    watch: Telemetry,
    metrics: OrchestratorMetrics,
) -> list[Intake]:
    topics = KafkaTopics(settings, settings.topics.by_name())
    readers = {JOBS_TOPIC: JobRequests(), SUBMISSIONS_TOPIC: submissions}
    return [
        Intake(
            pool,
            KafkaSource(
                settings,
                topics,
                topic=topic,
                assigned=metrics.kafka_partitions_assigned.labels(topic).set,
            ),
            reader,
            path=DispatchPath.KAFKA,
            dispatched=watch.dispatched,
            watch=watch,
        )
        for topic, reader in readers.items()
    ]


async def run(orchestrator: Orchestrator, *, stopping: asyncio.Event, grace_s: float) -> None:
    """Until `stopping`; then no job is taken, and all is over within `grace_s`.

    Jobs that end in half of it end here; of the others the segments under way end, and they are
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
    configuration = OrchestratorSettings()  # pyright: ignore[reportCallIssue]
    configure_logs(service="orchestrator", level=configuration.log_level, also=[with_trace_id])
    try:
        with suppress(KeyboardInterrupt):
            asyncio.run(main(configuration))
    except SandboxTooWeak as error:
        _log.critical("sandbox_too_weak", missing=error.missing, reason=str(error))
        sys.exit(1)
