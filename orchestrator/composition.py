"""The composition root: everything is built here, from settings, and handed on by argument."""

import os
import socket
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from orchestrator.adapters.encoder import FileEncoder
from orchestrator.adapters.postgres import PostgresClaims
from orchestrator.adapters.shared_transport import open_transport
from orchestrator.adapters.telemetry import Telemetry
from orchestrator.adapters.triton import TritonSeparator
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
from stemcore.audio_decoder import open_decoder
from stemcore.bus.direct import DirectBus
from stemcore.bus.kafka.settings import KafkaSettings
from stemcore.bus.kafka.source import KafkaSource
from stemcore.bus.kafka.topics import KafkaTopics
from stemcore.catalogue.guarded import GuardedCatalogue
from stemcore.catalogue.port import ModelCatalogue
from stemcore.catalogue.triton import TritonCatalogue, open_triton
from stemcore.database.notifications import Notifications
from stemcore.database.pool import open_pool
from stemcore.health import from_threads
from stemcore.ids import new_id
from stemcore.separation_request import SEPARATION
from stemcore.storage.port import ObjectStore
from stemcore.storage.settings import open_store
from stemcore.telemetry.heartbeats import Heartbeats
from stemcore.telemetry.metrics_door import metrics_door
from stemcore.telemetry.state_gauges import StateGauges
from stemcore.telemetry.traces import Tracing
from stemcore.topics import DEAD_LETTERS_TOPIC, EVENTS_TOPIC, JOBS_TOPIC, SUBMISSIONS_TOPIC

if TYPE_CHECKING:
    from stemcore.database.pool import Pool


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What everything here stands on; `worker` is this process among all."""

    worker: str
    pool: "Pool"
    notifications: Notifications
    catalogue: ModelCatalogue
    separator: StemSeparator
    store: ObjectStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What looks on, and what it has seen."""

    registry: CollectorRegistry
    metrics: OrchestratorMetrics
    heartbeats: Heartbeats
    telemetry: Telemetry


@asynccontextmanager
async def build(
    settings: OrchestratorSettings, *, instead: Replacements
) -> AsyncGenerator[Orchestrator]:
    """Everything, closed again in the opposite order."""
    worker = f"{socket.gethostname()}-{os.getpid()}-{new_id().hex[-8:]}"
    async with AsyncExitStack() as stack:
        watch = await _open_watch(settings, stack, worker=worker)
        ground = await _open_ground(settings, stack, watch=watch, instead=instead, worker=worker)
        scheduler = SegmentScheduler(window=settings.triton.window)
        yield Orchestrator(
            notifications=ground.notifications,
            intakes=_intakes(settings, ground, watch),
            sweeper=_sweeper(settings, ground, watch),
            slots=await _slots(settings, stack, ground=ground, watch=watch, scheduler=scheduler),
            scheduler=scheduler,
            heartbeats=watch.heartbeats,
            gauges=_open_metrics(settings, stack, ground=ground, watch=watch),
        )


async def _open_watch(
    settings: OrchestratorSettings, stack: AsyncExitStack, *, worker: str
) -> Watch:
    tracing = Tracing.of(settings.traces, service="orchestrator")
    await stack.enter_async_context(tracing)
    registry, heartbeats = CollectorRegistry(), Heartbeats()
    metrics = OrchestratorMetrics.on(registry)
    metrics.window.set(settings.triton.window)
    telemetry = Telemetry(
        tracing.tracer, metrics, heartbeats, worker=worker, engine=settings.triton.address
    )
    return Watch(registry=registry, metrics=metrics, heartbeats=heartbeats, telemetry=telemetry)


async def _open_ground(
    settings: OrchestratorSettings,
    stack: AsyncExitStack,
    *,
    watch: Watch,
    instead: Replacements,
    worker: str,
) -> Ground:
    client = await stack.enter_async_context(open_triton(settings.triton))
    served = instead.catalogue or TritonCatalogue(
        client, timeout_s=settings.triton.metadata_timeout_s
    )
    catalogue = GuardedCatalogue(served, settings.models)
    transport = await stack.enter_async_context(open_transport(client, settings.triton))
    return Ground(
        worker=worker,
        pool=await stack.enter_async_context(open_pool(settings.database)),
        notifications=Notifications(settings.database),
        catalogue=catalogue,
        separator=instead.separator
        or TritonSeparator(transport, catalogue, settings.triton, watch=watch.telemetry.call),
        store=await stack.enter_async_context(open_store(settings.storage)),
    )


def _open_metrics(
    settings: OrchestratorSettings, stack: AsyncExitStack, *, ground: Ground, watch: Watch
) -> StateGauges | None:
    """The gauges that somebody has to keep asking, if anybody looks at them."""
    if settings.metrics.port is None:
        return None
    gauges = StateGauges(ground.pool, ground.catalogue.models)
    watch.registry.register(gauges)
    needed = checks(
        ground.pool, catalogue=ground.catalogue, store=ground.store, kafka=settings.kafka
    )
    stack.enter_context(
        metrics_door(
            settings.metrics,
            watch.registry,
            live=watch.heartbeats.silent,
            ready=from_threads(needed),
        )
    )
    return gauges


def _sweeper(settings: OrchestratorSettings, ground: Ground, watch: Watch) -> Sweeper:
    return Sweeper(
        ground.pool,
        ground.store,
        rules=SweepRules(
            period_s=settings.sweep_period_s,
            undispatched_after_s=settings.undispatched_after_s,
            doomed_for_s=settings.doomed_for_s,
            inbox_kept_days=settings.inbox_kept_days,
            max_claims=settings.lease.max_claims,
        ),
        dispatched=watch.telemetry.dispatched,
        watch=watch.telemetry,
    )


async def _slots(
    settings: OrchestratorSettings,
    stack: AsyncExitStack,
    *,
    ground: Ground,
    watch: Watch,
    scheduler: SegmentScheduler,
) -> list[Slot]:
    lease = settings.lease
    models = Models(ground.catalogue, patience_s=settings.model_patience_s)
    claims = PostgresClaims(
        ground.pool, ground.notifications, owner=ground.worker, lease_length_s=lease.length_s
    )
    workshop = Workshop(
        claims=claims,
        store=ground.store,
        scratch=stack.enter_context(open_scratch(settings.scratch.root, worker=ground.worker)),
        models=models,
        separator=ground.separator,
        scheduler=scheduler,
        encoder=FileEncoder(),
        decoder=await stack.enter_async_context(
            open_decoder(settings.sandbox, limits=settings.limits)
        ),
        watch=watch.telemetry,
    )
    runners = {SEPARATION: SeparationRunner(workshop)}
    rules = SlotRules(
        lease_length_s=lease.length_s,
        max_claims=lease.max_claims,
        backoff_s=lease.backoff_s,
        outage_backoff_s=lease.outage_backoff_s,
        outage_patience_s=lease.outage_patience_s,
        progress_every_s=settings.progress_every_s,
    )
    return [
        Slot(claims, runners, rules=rules, ready=models.any_usable, watch=watch.telemetry)
        for _ in range(settings.slots)
    ]


def _intakes(settings: OrchestratorSettings, ground: Ground, watch: Watch) -> list[Intake]:
    if settings.kafka is None:
        return [_direct_intake(ground, watch.telemetry)]
    submissions = Submissions(
        settings.submissions,
        catalogue=ground.catalogue,
        store=ground.store,
        max_source_bytes=settings.limits.max_bytes,
    )
    return _kafka_intakes(settings.kafka, ground.pool, submissions, watch)


def _direct_intake(ground: Ground, watch: Telemetry) -> Intake:
    bus = DirectBus(
        ground.pool,
        ground.notifications,
        topic=JOBS_TOPIC,
        unread=(EVENTS_TOPIC, DEAD_LETTERS_TOPIC),
    )
    return Intake(
        ground.pool,
        bus,
        JobRequests(),
        path=DispatchPath.DIRECT,
        dispatched=watch.dispatched,
        watch=watch,
    )


def _kafka_intakes(
    settings: KafkaSettings, pool: "Pool", submissions: Submissions, watch: Watch
) -> list[Intake]:
    topics = KafkaTopics(settings, settings.topics.by_name())
    readers = {JOBS_TOPIC: JobRequests(), SUBMISSIONS_TOPIC: submissions}
    assigned = watch.metrics.kafka_partitions_assigned
    return [
        Intake(
            pool,
            KafkaSource(settings, topics, topic=topic, assigned=assigned.labels(topic).set),
            reader,
            path=DispatchPath.KAFKA,
            dispatched=watch.telemetry.dispatched,
            watch=watch.telemetry,
        )
        for topic, reader in readers.items()
    ]
