"""The composition root: everything is built here, from settings, and handed on by argument."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import structlog

from gateway.accounts.demo import ensure_demo_account
from gateway.accounts.passwords import Passwords
from gateway.accounts.repository import AccountRepository
from gateway.accounts.service import AccountService
from gateway.accounts.tokens import AccessTokens
from gateway.catalogue.service import CatalogueService
from gateway.events.repository import EventRepository
from gateway.events.service import EventService
from gateway.health.service import HealthService
from gateway.jobs.repository import JobRepository
from gateway.jobs.service import JobService
from gateway.jobs.source_files import FetchedFiles, FilesInPlace, SourceFiles
from gateway.jobs.source_probe import CountedProbe, DecoderProbe, SourceProbe
from gateway.jobs.submission import SubmissionService
from gateway.lifetime import Lifetime
from gateway.relay import Relay
from gateway.results.service import ResultService
from gateway.settings import GatewaySettings
from gateway.telemetry import GatewayTelemetry
from stemcore.audio_decoder import AudioDecoder, SandboxTooWeak, open_decoder
from stemcore.bus.kafka.check import kafka_check
from stemcore.bus.kafka.publisher import open_publisher
from stemcore.bus.kafka.settings import KafkaSettings
from stemcore.bus.kafka.topics import KafkaTopics
from stemcore.catalogue.guarded import GuardedCatalogue
from stemcore.catalogue.port import ModelCatalogue
from stemcore.catalogue.triton import TritonCatalogue, open_triton
from stemcore.database.notifications import Notifications
from stemcore.database.pool import open_pool
from stemcore.health import Check, database_check, engine_check, from_threads, storage_check
from stemcore.storage.filesystem import FilesystemStore
from stemcore.storage.minio import MinioStore
from stemcore.storage.port import ObjectStore, Presigner
from stemcore.storage.settings import open_store
from stemcore.telemetry.metrics_door import metrics_door
from stemcore.telemetry.state_gauges import StateGauges

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What endpoints call."""

    settings: GatewaySettings
    accounts: AccountService
    submission: SubmissionService
    jobs: JobService
    results: ResultService
    events: EventService
    catalogue: CatalogueService
    health: HealthService


@dataclass(frozen=True, slots=True, kw_only=True)
class Replacements:
    """Adapters to use instead of the real ones, where a test has no such server."""

    catalogue: ModelCatalogue | None = None
    probe: SourceProbe | None = None


@asynccontextmanager
async def open_services(
    settings: GatewaySettings,
    *,
    lifetime: Lifetime,
    telemetry: GatewayTelemetry,
    instead: Replacements,
) -> AsyncGenerator[Services]:
    """All services, over resources that are closed at the end, the last opened first."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(telemetry.tracing)
        pool = await stack.enter_async_context(open_pool(settings.database))
        store = await stack.enter_async_context(open_store(settings.storage))
        notifications = Notifications(settings.database)
        await stack.enter_async_context(
            lifetime.side_task(notifications.run(), name="notifications")
        )
        if settings.kafka is not None:
            relay = await _relay(settings.kafka, settings, notifications, telemetry, stack)
            await stack.enter_async_context(lifetime.side_task(relay.run(), name="relay"))
        probe = instead.probe or DecoderProbe(
            _source_files(store, settings),
            decoder=await _decoder(settings, stack),
            at_a_time=settings.limits.concurrent_probes,
        )
        served = instead.catalogue or await _triton_catalogue(settings, stack)
        catalogue = CatalogueService(GuardedCatalogue(served, settings.models))
        jobs = JobRepository(
            pool, max_live_jobs=settings.limits.live_jobs, changed=telemetry.metrics.status_changed
        )
        needed = {
            "database": database_check(pool),
            "engine": engine_check(catalogue.models),
            "storage": storage_check(store),
        }
        services = Services(
            settings=settings,
            accounts=AccountService(
                AccountRepository(pool), passwords=Passwords(), tokens=AccessTokens(settings.auth)
            ),
            submission=SubmissionService(
                jobs,
                store=store,
                probe=CountedProbe(probe, told=telemetry.metrics.looked_into),
                catalogue=catalogue,
                default_model=settings.default_model,
                max_upload_bytes=settings.limits.upload_bytes,
            ),
            jobs=JobService(jobs, store=store),
            results=ResultService(
                jobs,
                store=store,
                presigner=_presigner(store, settings),
                presigned_lifetime_s=settings.downloads.lifetime_s,
            ),
            events=EventService(
                EventRepository(pool), notifications=notifications, stopping=lifetime.stopping
            ),
            catalogue=catalogue,
            health=HealthService(needed=needed, helpful=_helpful(settings), catalogue=catalogue),
        )
        if settings.demo_account:
            demo = ensure_demo_account(services.accounts)
            await stack.enter_async_context(lifetime.side_task(demo, name="demo-account"))
        gauges = StateGauges(pool, catalogue.models)
        await _open_metrics(settings, lifetime, telemetry, gauges, needed, stack)
        yield services


async def _open_metrics(
    settings: GatewaySettings,
    lifetime: Lifetime,
    telemetry: GatewayTelemetry,
    gauges: StateGauges,
    needed: Mapping[str, Check],
    stack: AsyncExitStack,
) -> None:
    if settings.metrics.port is None:
        return
    heartbeats = telemetry.heartbeats
    telemetry.registry.register(gauges)
    await stack.enter_async_context(lifetime.side_task(gauges.run(), name="gauges"))
    await stack.enter_async_context(lifetime.side_task(heartbeats.run(), name="heartbeats"))
    stack.enter_context(
        metrics_door(
            settings.metrics,
            telemetry.registry,
            live=heartbeats.silent,
            ready=from_threads(needed),
        )
    )


def _helpful(settings: GatewaySettings) -> Mapping[str, Check]:
    return {} if settings.kafka is None else {"bus": kafka_check(settings.kafka)}


async def _relay(
    kafka: KafkaSettings,
    settings: GatewaySettings,
    notifications: Notifications,
    telemetry: GatewayTelemetry,
    stack: AsyncExitStack,
) -> Relay:
    topics = kafka.topics.by_name()
    publisher = await stack.enter_async_context(open_publisher(kafka, KafkaTopics(kafka, topics)))
    return Relay(
        settings.database,
        notifications,
        publisher,
        topics=topics,
        busy=telemetry.relaying,
    )


async def _decoder(settings: GatewaySettings, stack: AsyncExitStack) -> AudioDecoder:
    opening = open_decoder(settings.sandbox, limits=settings.limits.decode_limits())
    try:
        return await stack.enter_async_context(opening)
    except SandboxTooWeak as error:
        _log.critical("sandbox_too_weak", missing=error.missing, reason=str(error))
        raise


async def _triton_catalogue(settings: GatewaySettings, stack: AsyncExitStack) -> TritonCatalogue:
    client = await stack.enter_async_context(open_triton(settings.triton))
    return TritonCatalogue(client, timeout_s=settings.triton.metadata_timeout_s)


def _source_files(store: ObjectStore, settings: GatewaySettings) -> SourceFiles:
    if isinstance(store, FilesystemStore):
        return FilesInPlace(store)
    return FetchedFiles(
        store, scratch=settings.scratch.root, max_bytes=settings.limits.upload_bytes
    )


def _presigner(store: ObjectStore, settings: GatewaySettings) -> Presigner | None:
    return store if settings.downloads.presigned and isinstance(store, MinioStore) else None
