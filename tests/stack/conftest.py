import tempfile
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import soundfile

from stemyard.client import Job, StemyardClient
from stemyard.stack.assembly import Stack
from stemyard.stack.one_machine import one_machine_stack
from stemyard.stack.runtime import locked
from stemyard.stack.settings import ROOT, StackSettings
from synthesis import song

TINY_REPOSITORY = ROOT / ".cache" / "models"
SONG_SECONDS = 45.0
OUTPUT = {"format": "wav", "bit_depth": 24}


@pytest.fixture(scope="session")
def runtimes() -> Generator[Path]:
    """Not below pytest's own folder, which other sessions close to PostgreSQL's user."""
    with tempfile.TemporaryDirectory(prefix="stemyard-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def song_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = song(seed=5, duration_s=SONG_SECONDS)
    path = tmp_path_factory.mktemp("songs") / "song.wav"
    soundfile.write(path, made.mix.T, made.sample_rate_hz, subtype="PCM_24")
    return path


def tiny_settings(**changes: Any) -> StackSettings:
    """Of a stack with the tiny models of the tests."""
    values: dict[str, Any] = {
        "repository": TINY_REPOSITORY,
        "default_model": "tiny",
        "durable": False,
    }
    return StackSettings(**(values | changes))


@asynccontextmanager
async def tiny_stack(runtime: Path, **changes: Any) -> AsyncGenerator[Stack]:
    """The product's own launcher."""
    settings = tiny_settings(runtimes=runtime.parent, **changes)
    with locked(runtime) as held:
        async with one_machine_stack(settings, runtime=held) as stack:
            yield stack


@asynccontextmanager
async def signed_in(stack: Stack, *, email: str) -> AsyncGenerator[StemyardClient]:
    """A client with an account of its own."""
    async with StemyardClient(stack.gateway.address) as client:
        await client.register(email=email, password="a long password 1", full_name="Test")
        await client.sign_in(email=email, password="a long password 1")
        yield client


async def finished(client: StemyardClient, job: Job) -> Job:
    async for state in client.follow(job):
        job = state
    return job


def digests(job: Job) -> dict[str, str]:
    return {stem.stem: stem.sha256 for stem in job.stems}
