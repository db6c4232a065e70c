"""A database of its own for every test, and a floor to run jobs on."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
import structlog
from pydantic import SecretStr

from orchestrator.adapters.encoder import FileEncoder
from orchestrator.adapters.memory import MemorySeparator
from orchestrator.adapters.postgres import PostgresClaims
from orchestrator.models import Models
from orchestrator.scratch import Scratch, open_scratch
from orchestrator.segment_scheduler import SegmentScheduler
from orchestrator.separation import SeparationRunner, Workshop
from orchestrator.separator import StemSeparator
from orchestrator.slots import Slot, SlotRules
from stemcore.audio_decoder import AudioDecoder, DecodeLimits, SandboxSettings, open_decoder
from stemcore.catalogue.memory import MemoryCatalogue
from stemcore.catalogue.port import ServedModel
from stemcore.database import job_log, outbox
from stemcore.database.notifications import Notifications
from stemcore.database.pool import DatabaseSettings, open_pool
from stemcore.ids import new_id
from stemcore.jobs import JobStatus
from stemcore.messages import JobRequested
from stemcore.separation_request import SEPARATION, OutputOptions, SeparationRequest
from stemcore.storage.filesystem import FilesystemStore
from stemcore.topics import JOBS_TOPIC
from stemyard.stack.waiting import until
from tests.integration.orchestrator.cards import GAINS, gain_card
from tests.servers.postgresql import emptied, own_database

if TYPE_CHECKING:
    from stemcore.database.pool import Pool

# Longer than a busy machine may keep the event loop waiting.
LEASE_S = 5.0
SETTLED_WITHIN_S = 20.0
ENDED = (JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED)


@pytest.fixture(autouse=True, scope="session")
def plain_logs() -> Generator[None]:
    """As the services log: structlog's own default paints every array of a traceback."""
    structlog.configure(processors=[structlog.processors.JSONRenderer(default=str)])
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def orchestrator_dsn(postgres_dsn: str) -> str:
    """A database no other test writes to: the intake and the slots take whatever they find."""
    return own_database(postgres_dsn, name="orchestrator")


@pytest.fixture
def database_settings(orchestrator_dsn: str) -> DatabaseSettings:
    return DatabaseSettings(dsn=SecretStr(orchestrator_dsn))


@pytest.fixture
async def pool(database_settings: DatabaseSettings) -> "AsyncGenerator[Pool]":
    async with open_pool(database_settings) as pool:
        await emptied(pool)
        yield pool


@pytest.fixture
async def notifications(database_settings: DatabaseSettings) -> AsyncGenerator[Notifications]:
    notifications = Notifications(database_settings)
    listening = asyncio.create_task(notifications.run())
    yield notifications
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


@dataclass(frozen=True, kw_only=True)
class Jobs:
    """Jobs as the gateway would write them, and what became of them."""

    pool: "Pool"
    store: FilesystemStore

    async def submit(
        self,
        source: bytes,
        *,
        queued: bool = True,
        priority: int = 0,
        account_id: UUID | None = None,
        **wishes: Any,
    ) -> UUID:
        """A job of that account, or of a new one."""
        job_id, account_id = new_id(), account_id or new_id()
        key = f"sources/{job_id}/source"
        stored = await self.store.put(key, _once(source))
        request = SeparationRequest(
            **{"model": "gains", "stems": tuple(GAINS), "output": OutputOptions()} | wishes
        )
        async with self.pool.acquire() as connection, connection.transaction():
            await connection.execute(
                """
                INSERT INTO accounts (id, email, full_name, password_hash)
                VALUES ($1, $2, '', '') ON CONFLICT DO NOTHING
                """,
                account_id,
                str(account_id),
            )
            await connection.execute(
                """
                INSERT INTO jobs (id, account_id, kind, status, priority, parameters, source_key,
                                  source_name, source_bytes, source_sha256, ledger)
                VALUES ($1, $2, $3, 'accepted', $4, $5, $6, 'song', $7, $8, '{"upload_s": 0.25}')
                """,
                job_id,
                account_id,
                SEPARATION,
                priority,
                request.to_dict(),
                key,
                stored.size_bytes,
                hashlib.sha256(source).hexdigest(),
            )
            await job_log.append_accepted(connection, job_id, account_id=account_id, data={})
            message = JobRequested(
                event_id=new_id(), job_id=job_id, kind=SEPARATION, account_id=account_id
            )
            await outbox.enqueue(connection, topic=JOBS_TOPIC, key=str(job_id), message=message)
            if queued:
                now = await connection.fetchval("SELECT now()")
                await job_log.transition(
                    connection, job_id, to=JobStatus.QUEUED, columns={"queued_at": now}
                )
        return job_id

    async def row(self, job_id: UUID) -> Mapping[str, Any]:
        row = await self.pool.fetchrow("SELECT * FROM jobs WHERE id = $1", job_id)
        assert row is not None
        return row

    async def events(self, job_id: UUID) -> list[str]:
        rows = await self.pool.fetch(
            "SELECT seq, type FROM job_events WHERE job_id = $1 ORDER BY seq", job_id
        )
        assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
        return [row["type"] for row in rows]

    async def cancel(self, job_id: UUID) -> None:
        """As the gateway does it: the fencing token rises with the status."""
        async with self.pool.acquire() as connection, connection.transaction():
            token = await connection.fetchval("SELECT lease_token FROM jobs WHERE id = $1", job_id)
            assert await job_log.transition(
                connection, job_id, to=JobStatus.CANCELLED, columns={"lease_token": token + 1}
            )

    async def become(self, job_id: UUID, *statuses: JobStatus) -> Mapping[str, Any]:
        """The row once the job has one of the statuses."""

        async def is_there() -> bool:
            return (await self.row(job_id))["status"] in statuses

        await until(is_there, timeout_s=SETTLED_WITHIN_S)
        return await self.row(job_id)


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


@pytest.fixture
def store(tmp_path: Path) -> FilesystemStore:
    return FilesystemStore(tmp_path / "objects")


@pytest.fixture
def jobs(pool: "Pool", store: FilesystemStore) -> Jobs:
    return Jobs(pool=pool, store=store)


@pytest.fixture
def scratch(tmp_path: Path) -> Generator[Scratch]:
    with open_scratch(tmp_path / "scratch", worker="worker") as scratch:
        yield scratch


def claims_of(pool: "Pool", notifications: Notifications, *, owner: str = "w") -> PostgresClaims:
    return PostgresClaims(pool, notifications, owner=owner, lease_length_s=LEASE_S)


@pytest.fixture
def claims(pool: "Pool", notifications: Notifications) -> PostgresClaims:
    return claims_of(pool, notifications)


@dataclass(kw_only=True)
class Floor:
    """One slot over a real database and store, with whatever separates."""

    claims: PostgresClaims
    store: FilesystemStore
    scratch: Scratch
    root: Path
    separator: StemSeparator = field(default_factory=lambda: MemorySeparator(GAINS))
    models: tuple[ServedModel, ...] = (ServedModel(card=gain_card(), ready=True),)
    limits: DecodeLimits = field(default_factory=DecodeLimits)
    window: int = 2
    backoff_s: float = 0.0
    outage_patience_s: float = 3600.0
    scheduler: SegmentScheduler | None = None

    @asynccontextmanager
    async def slot(self) -> AsyncGenerator[Slot]:
        """A slot that does not run yet, with decoder processes started on demand."""
        async with open_decoder(SandboxSettings(warm=0), limits=self.limits) as decoder:
            yield self._slot(decoder)

    def _slot(self, decoder: AudioDecoder) -> Slot:
        models = Models(MemoryCatalogue(*self.models), patience_s=0.0)
        workshop = Workshop(
            claims=self.claims,
            store=self.store,
            scratch=self.scratch,
            models=models,
            separator=self.separator,
            scheduler=self.scheduler or SegmentScheduler(window=self.window),
            encoder=FileEncoder(),
            decoder=decoder,
        )
        rules = SlotRules(
            lease_length_s=LEASE_S,
            max_claims=3,
            backoff_s=self.backoff_s,
            outage_backoff_s=self.backoff_s,
            outage_patience_s=self.outage_patience_s,
            progress_every_s=0.05,
        )
        return Slot(
            self.claims,
            {SEPARATION: SeparationRunner(workshop)},
            rules=rules,
            ready=models.any_usable,
        )

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[asyncio.Task[None]]:
        stopping = asyncio.Event()
        async with self.slot() as slot:
            task = asyncio.create_task(slot.run(stopping))
            try:
                yield task
            finally:
                stopping.set()
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    def scratch_files(self) -> list[str]:
        folder = self.root / "scratch" / "worker"
        return sorted(path.name for path in folder.iterdir() if path.name != "lock")

    def results(self) -> list[str]:
        objects = self.root / "objects"
        return sorted(
            path.relative_to(objects).as_posix()
            for path in objects.glob("results/**/*")
            if path.is_file()
        )


@pytest.fixture
def floor(
    claims: PostgresClaims, store: FilesystemStore, scratch: Scratch, tmp_path: Path
) -> Floor:
    return Floor(claims=claims, store=store, scratch=scratch, root=tmp_path)
