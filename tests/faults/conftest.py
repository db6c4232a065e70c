"""A database of its own, and a floor for each test."""

import asyncio
import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import SecretStr

from stemcore.database.pool import DatabaseSettings, open_pool
from tests.faults.floor import Floor, open_floor
from tests.faults.link import Link, link_to
from tests.integration.orchestrator.songs import song_of, wav
from tests.servers.postgresql import emptied, own_database

if TYPE_CHECKING:
    from stemcore.database.pool import Pool

DATABASE = "faults"


@pytest.fixture(scope="session")
def faults_dsn(postgres_dsn: str) -> str:
    return own_database(postgres_dsn, name=DATABASE)


@pytest.fixture
async def pool(faults_dsn: str) -> "AsyncGenerator[Pool]":
    async with open_pool(DatabaseSettings(dsn=SecretStr(faults_dsn))) as pool:
        await emptied(pool)
        yield pool


@pytest.fixture
async def floor(pool: "Pool", faults_dsn: str, tmp_path: Path) -> AsyncGenerator[Floor]:
    async with open_floor(pool, dsn=faults_dsn, root=tmp_path) as floor:
        yield floor


@pytest.fixture
async def link(faults_dsn: str) -> AsyncGenerator[Link]:
    """Not below pytest's own folder, whose path is longer than a socket's name may be."""
    (target,) = parse_qs(urlsplit(faults_dsn).query)["host"]
    with tempfile.TemporaryDirectory(prefix="stemyard-") as folder:
        async with link_to(Path(target), Path(folder)) as link:
            yield link


@pytest.fixture
def linked_dsn(link: Link) -> str:
    """The same database, by way of the link."""
    return f"postgresql://postgres@/{DATABASE}?host={link.folder}"


@pytest.fixture(scope="session")
def song() -> bytes:
    """Sixty segments: some three seconds of the slow engine's work."""
    return wav(song_of(1_000_000), subtype="PCM_16")


@pytest.fixture(scope="session")
def calm(faults_dsn: str, song: bytes, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The digests of the song's stems when nothing happens."""
    return asyncio.run(_separated(faults_dsn, song, tmp_path_factory.mktemp("calm")))


async def _separated(dsn: str, song: bytes, root: Path) -> dict[str, str]:
    async with (
        open_pool(DatabaseSettings(dsn=SecretStr(dsn))) as pool,
        open_floor(pool, dsn=dsn, root=root) as floor,
    ):
        await floor.start(segment_s=0.0)
        return await floor.succeeded(await floor.jobs.submit(song))
