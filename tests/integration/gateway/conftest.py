"""A real gateway on a free port, over real PostgreSQL and a real directory."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI
from pydantic import SecretStr

from gateway.accounts.tokens import AccessTokens
from gateway.app import create_app
from gateway.composition import Replacements
from gateway.lifetime import Lifetime
from gateway.server import GatewayServer
from gateway.settings import (
    AuthSettings,
    GatewaySettings,
    HttpSettings,
    LimitSettings,
    StorageSettings,
)
from stemcore.catalogue.memory import MemoryCatalogue
from stemcore.catalogue.port import ServedModel
from stemcore.database import job_log
from stemcore.database.pool import DatabaseSettings, open_pool
from stemcore.ids import new_id
from stemcore.jobs import JobStatus, ResultFile
from stemcore.storage.filesystem import FilesystemStore
from tests.integration.gateway.cards import make_card
from tests.integration.gateway.songs import wav

if TYPE_CHECKING:
    from stemcore.database.pool import Pool

HERE = Path(__file__).parent
NOWHERE = Path("/nonexistent")
START_TIMEOUT_S = 60
shared = pytest_asyncio.fixture(scope="session", loop_scope="session")
fresh = pytest_asyncio.fixture(loop_scope="session")

SECRET = "a secret of at least thirty-two characters"
MODELS = (
    ServedModel(card=make_card("stemyard-mini"), ready=True),
    ServedModel(card=make_card("two-stems", stems=("vocals", "accompaniment")), ready=True),
    ServedModel(card=make_card("unproven"), ready=True, refusal="No parity."),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """A running gateway, and what it stands on."""

    address: str
    app: FastAPI
    server: GatewayServer
    settings: GatewaySettings
    lifetime: Lifetime
    root: Path

    def stored_files(self) -> list[Path]:
        return sorted(path for path in self.root.rglob("*") if path.is_file())


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A signed-in account and its client."""

    http: httpx.AsyncClient
    account_id: UUID

    async def submit(self, **fields: Any) -> httpx.Response:
        file = fields.pop("file", ("song.wav", wav()))
        headers = fields.pop("headers", {})
        return await self.http.post("/v1/jobs", files={"file": file}, data=fields, headers=headers)

    async def submitted(self, **fields: Any) -> dict[str, Any]:
        answer = await self.submit(**fields)
        assert answer.status_code == 202, answer.text
        return answer.json()


SignUp = Callable[[], Awaitable[Caller]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One gateway serves all tests of this folder, so they share its event loop."""
    for item in items:
        if HERE in item.path.parents and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest.fixture(scope="session")
def settings(postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> GatewaySettings:
    return GatewaySettings(
        database=DatabaseSettings(dsn=SecretStr(postgres_dsn)),
        storage=StorageSettings(root=tmp_path_factory.mktemp("objects")),
        auth=AuthSettings.model_validate({"secret": SECRET}),
        http=HttpSettings(port=0),
        limits=LimitSettings(upload_bytes=4 << 20, duration_s=120),
    )


@contextlib.asynccontextmanager
async def running_gateway(
    settings: GatewaySettings, *, instead: Replacements
) -> AsyncGenerator[Gateway]:
    lifetime = Lifetime()
    app = create_app(settings, lifetime=lifetime, instead=instead)
    server = GatewayServer(app, settings.http, lifetime=lifetime)
    # `_serve` rather than `serve`: signals belong to pytest.
    serving = asyncio.create_task(server._serve())
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            await server.listening.wait()
        yield Gateway(
            address=server.address,
            app=app,
            server=server,
            settings=settings,
            lifetime=lifetime,
            root=settings.storage.root or NOWHERE,
        )
    finally:
        lifetime.stop()
        await serving


@pytest.fixture(scope="session")
def replacements() -> Replacements:
    return Replacements(catalogue=MemoryCatalogue(*MODELS))


@shared
async def pool(settings: GatewaySettings) -> AsyncGenerator["Pool"]:
    async with open_pool(settings.database) as pool:
        yield pool


@shared
async def gateway(settings: GatewaySettings, replacements: Replacements) -> AsyncGenerator[Gateway]:
    async with running_gateway(settings, instead=replacements) as gateway:
        yield gateway


@fresh
async def http(gateway: Gateway) -> AsyncGenerator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=gateway.address, timeout=20) as client:
        yield client


@contextlib.asynccontextmanager
async def signed_in(gateway: Gateway, account_id: UUID) -> AsyncGenerator[Caller]:
    token = AccessTokens(gateway.settings.auth).issue(account_id).value
    async with httpx.AsyncClient(
        base_url=gateway.address, timeout=20, headers={"Authorization": f"Bearer {token}"}
    ) as client:
        yield Caller(http=client, account_id=account_id)


async def new_account(pool: "Pool") -> UUID:
    account_id = new_id()
    await pool.execute(
        "INSERT INTO accounts (id, email, full_name, password_hash) VALUES ($1, $2, 'Ada', 'none')",
        account_id,
        f"{account_id}@example.com",
    )
    return account_id


@fresh
async def sign_up(gateway: Gateway, pool: "Pool") -> AsyncGenerator[SignUp]:
    """New accounts, without the cost of hashing a password."""
    async with contextlib.AsyncExitStack() as stack:

        async def sign_up() -> Caller:
            return await stack.enter_async_context(signed_in(gateway, await new_account(pool)))

        yield sign_up


@fresh
async def caller(sign_up: SignUp) -> Caller:
    return await sign_up()


@dataclass(slots=True, kw_only=True)
class Floor:
    """Plays the orchestrator: moves jobs on as it would."""

    pool: "Pool"
    store: FilesystemStore
    contents: dict[str, bytes] = field(default_factory=dict)

    async def move(
        self, job_id: str, to: JobStatus, data: Mapping[str, Any] | None = None, **columns: Any
    ) -> None:
        async with self.pool.acquire() as connection, connection.transaction():
            moved = await job_log.transition(
                connection, UUID(job_id), to=to, columns=columns, data=data
            )
        assert moved

    async def start(self, job_id: str) -> None:
        await self.move(job_id, JobStatus.QUEUED)
        await self.move(job_id, JobStatus.RUNNING, lease_token=1)

    async def report(self, job_id: str, progress: float) -> None:
        async with self.pool.acquire() as connection, connection.transaction():
            await job_log.append_progress(
                connection, UUID(job_id), lease_token=1, progress=progress, stage="inference"
            )

    async def finish(self, job_id: str, **contents: bytes) -> None:
        results = [
            (await self._stored(job_id, name, data)).to_dict() for name, data in contents.items()
        ]
        await self.move(job_id, JobStatus.SUCCEEDED, results=results, progress=1.0)

    async def _stored(self, job_id: str, name: str, data: bytes) -> ResultFile:
        async def chunks() -> AsyncIterator[bytes]:
            yield data

        stored = await self.store.put(f"results/{job_id}/1/{name}.wav", chunks())
        return ResultFile(
            name=name,
            filename=f"{name}.wav",
            key=stored.key,
            content_type="audio/wav",
            size_bytes=stored.size_bytes,
            sha256=stored.sha256,
            made_by="subtraction" if name.startswith("no_") else None,
        )


@pytest.fixture
def floor(pool: "Pool", gateway: Gateway) -> Floor:
    return Floor(pool=pool, store=FilesystemStore(gateway.root))
