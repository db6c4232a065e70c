import os
import signal
import tempfile
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import soundfile

from stemyard.client import Job, StemyardClient
from stemyard.stack.assembly import Stack
from stemyard.stack.full import FullStack, full_stack
from stemyard.stack.one_machine import one_machine_stack
from stemyard.stack.runtime import locked
from stemyard.stack.settings import ROOT, FullStackSettings, StackSettings
from stemyard.stack.waiting import until
from synthesis import song

TINY_REPOSITORY = ROOT / ".cache" / "models"
SONG_SECONDS = 45.0
START_LIMIT_S = 60.0
PASSWORD = "a long password 1"
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


TINY: dict[str, Any] = {
    "repository": TINY_REPOSITORY,
    "default_model": "tiny",
    "durable": False,
}


def tiny_settings(**changes: Any) -> StackSettings:
    """Of a stack with the tiny models of the tests."""
    return StackSettings(**(TINY | changes))


@asynccontextmanager
async def tiny_stack(runtime: Path, **changes: Any) -> AsyncGenerator[Stack]:
    """The product's own launcher."""
    settings = tiny_settings(runtimes=runtime.parent, **changes)
    with locked(runtime) as held:
        async with one_machine_stack(settings, runtime=held) as stack:
            yield stack


@asynccontextmanager
async def tiny_full_stack(runtime: Path, **changes: Any) -> AsyncGenerator[FullStack]:
    """The same with Kafka and MinIO, and two of each service."""
    settings = FullStackSettings(**(TINY | {"runtimes": runtime.parent} | changes))
    with locked(runtime) as held:
        async with full_stack(settings, runtime=held) as stack:
            yield stack


async def killed(stack: Stack, name: str) -> int:
    """Kills the process and waits until the supervisor has started it again. Its old id."""
    process = stack.processes[name]
    starts, pid = process.starts, process.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)

    async def started_again() -> bool:
        return process.starts > starts

    await until(started_again, timeout_s=START_LIMIT_S)
    return pid


@asynccontextmanager
async def signed_in(
    stack: Stack, *, email: str, gateway: int = 0
) -> AsyncGenerator[StemyardClient]:
    """A client with an account of its own."""
    async with StemyardClient(stack.services.gateways[gateway].address) as client:
        await client.register(email=email, password=PASSWORD, full_name="Test")
        await client.sign_in(email=email, password=PASSWORD)
        yield client


async def finished(client: StemyardClient, job: Job) -> Job:
    async for state in client.follow(job):
        job = state
    return job


def digests(job: Job) -> dict[str, str]:
    return {stem.stem: stem.sha256 for stem in job.stems}
