"""A gateway in a process of its own and a slot of the orchestrator, over one database and store."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psutil
import pytest
import pytest_asyncio
from pydantic import SecretStr

from gateway.accounts.tokens import AccessTokens
from gateway.settings import AuthSettings
from orchestrator.adapters.postgres import PostgresClaims
from orchestrator.scratch import open_scratch
from stemcore.audio_decoder import DecodeLimits
from stemcore.catalogue.port import ServedModel
from stemcore.database import job_log
from stemcore.database.notifications import Notifications
from stemcore.database.pool import DatabaseSettings, open_pool
from stemcore.ids import new_id
from stemcore.jobs import JobStatus
from stemcore.storage.filesystem import FilesystemStore
from stemyard.stack.ports import free_ports
from stemyard.stack.waiting import until
from tests.integration.gateway.conftest import SECRET
from tests.integration.gateway.test_process import Running, running
from tests.integration.orchestrator.cards import gain_card
from tests.integration.orchestrator.conftest import Floor
from tests.servers.postgresql import own_database

if TYPE_CHECKING:
    from stemcore.database.pool import Pool


LIMITS = DecodeLimits(max_bytes=8 << 20, max_duration_s=60, probe_timeout_s=2)
MODEL = "stemyard-mini"
LEASE_S = 10.0
SETTLED_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of one file: a code and when it was known, or `ok`; `seconds` until then."""

    code: str
    known: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """The gateway's process, the floor, and one account."""

    gateway: Running
    floor: Floor
    pool: "Pool"
    account_id: UUID
    root: Path

    @property
    def headers(self) -> dict[str, str]:
        auth = AuthSettings.model_validate({"secret": SECRET})
        return {"Authorization": f"Bearer {AccessTokens(auth).issue(self.account_id).value}"}

    async def answer(self, path: Path) -> Answer:
        """Submit a file, and let the job run if there is one."""
        began = asyncio.get_running_loop().time()
        response = await self.gateway.http.post(
            "/v1/jobs",
            files={"file": (path.name, path.read_bytes())},
            data={"stems": "drums"},
            headers=self.headers,
        )
        seconds = asyncio.get_running_loop().time() - began
        if response.status_code != 202:
            return Answer(code=response.json()["error_code"], known="submission", seconds=seconds)
        return await self._outcome(response.json()["id"])

    async def _outcome(self, job_id: str) -> Answer:
        await self._queue(job_id)

        async def has_ended() -> bool:
            return (await self.job(job_id))["status"] in {"succeeded", "failed"}

        await until(has_ended, timeout_s=SETTLED_WITHIN_S)
        job = await self.job(job_id)
        if job["status"] == "succeeded":
            return Answer(code="ok", known="", seconds=job["ledger"]["decode_s"])
        began, ended = (datetime.fromisoformat(job[at]) for at in ("started_at", "finished_at"))
        seconds = (ended - began).total_seconds()
        return Answer(code=job["error"]["error_code"], known="decoding", seconds=seconds)

    async def job(self, job_id: str) -> dict[str, Any]:
        answer = await self.gateway.http.get(f"/v1/jobs/{job_id}", headers=self.headers)
        return answer.json()

    async def _queue(self, job_id: str) -> None:
        """As the intake does it."""
        async with self.pool.acquire() as connection, connection.transaction():
            now = await connection.fetchval("SELECT now()")
            assert await job_log.transition(
                connection, UUID(job_id), to=JobStatus.QUEUED, columns={"queued_at": now}
            )

    def stored(self) -> list[Path]:
        return [path for path in (self.root / "objects").rglob("*") if path.is_file()]

    def left_over(self) -> list[Path]:
        """Scratch and temporary files of the gateway and the floor."""
        kept = {self.root / "scratch" / "worker" / "lock"}
        folders = (self.root / "temporary", self.root / "scratch")
        return [
            path
            for folder in folders
            for path in folder.rglob("*")
            if path.is_file() and path not in kept
        ]

    def decoders(self) -> list[psutil.Process]:
        return psutil.Process(self.gateway.process.pid).children(recursive=True)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(
    postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[House]:
    root = tmp_path_factory.mktemp("hostile")
    (root / "temporary").mkdir()
    dsn = await asyncio.to_thread(own_database, postgres_dsn, name="hostile")
    settings = DatabaseSettings(dsn=SecretStr(dsn))
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(open_pool(settings))
        gateway = await stack.enter_async_context(_gateway(dsn, root))
        scratch = stack.enter_context(open_scratch(root / "scratch", worker="worker"))
        notifications = await stack.enter_async_context(_listening(settings))
        floor = Floor(
            claims=PostgresClaims(pool, notifications, owner="floor", lease_length_s=LEASE_S),
            store=FilesystemStore(root / "objects"),
            scratch=scratch,
            root=root,
            models=(ServedModel(card=gain_card(MODEL), ready=True),),
            limits=LIMITS,
        )
        await stack.enter_async_context(floor.open())
        account_id = await _account(pool)
        yield House(gateway=gateway, floor=floor, pool=pool, account_id=account_id, root=root)


@asynccontextmanager
async def _listening(settings: DatabaseSettings) -> AsyncGenerator[Notifications]:
    notifications = Notifications(settings)
    listening = asyncio.create_task(notifications.run())
    try:
        yield notifications
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


@asynccontextmanager
async def _gateway(dsn: str, root: Path) -> AsyncGenerator[Running]:
    environment = {
        "DATABASE__DSN": dsn,
        "STORAGE__ROOT": str(root / "objects"),
        "AUTH__SECRET": SECRET,
        "LIMITS__UPLOAD_BYTES": str(LIMITS.max_bytes),
        "LIMITS__DURATION_S": str(LIMITS.max_duration_s),
        "LIMITS__PROBE_TIMEOUT_S": str(LIMITS.probe_timeout_s),
        "LIMITS__LIVE_JOBS": "1000",
    }
    (port,) = free_ports(1)
    async with running(
        "tests.integration.gateway.served",
        port=port,
        environment=environment,
        temporary=root / "temporary",
    ) as gateway:
        yield gateway


async def _account(pool: "Pool") -> UUID:
    account_id = new_id()
    await pool.execute(
        "INSERT INTO accounts (id, email, full_name, password_hash) VALUES ($1, $2, '', '')",
        account_id,
        f"{account_id}@example.com",
    )
    return account_id
