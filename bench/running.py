"""Stacks that benchmarks start for themselves, signed-in clients, and jobs to their end."""

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bench.songs import CACHE
from stemyard.client import Job, StemyardClient
from stemyard.stack.assembly import Stack
from stemyard.stack.launch import launch
from stemyard.stack.runtime import throw_away
from stemyard.stack.settings import StackSettings

PASSWORD = "bench-password-1"  # noqa: S105 - of accounts that live for a minute
JOB_TIMEOUT_S = 1_200.0


@asynccontextmanager
async def running(settings: StackSettings) -> AsyncGenerator[Stack]:
    """A stack of its own, thrown away afterwards."""
    with throw_away(CACHE) as runtime:
        async with launch(settings, runtime=runtime) as stack:
            yield stack


@asynccontextmanager
async def signed_in(stack: Stack, *, name: str = "bench") -> AsyncGenerator[StemyardClient]:
    """An account of its own at one of the gateways."""
    login = {"email": f"{name}@example.com", "password": PASSWORD}
    async with StemyardClient(stack.gateway.address) as client:
        await client.register(**login, full_name="Bench")
        await client.sign_in(**login)
        yield client


async def succeeded(client: StemyardClient, job: Job, *, timeout_s: float = JOB_TIMEOUT_S) -> Job:
    """The job once it is over; a benchmark ends with any that failed."""
    async with asyncio.timeout(timeout_s):
        async for state in client.follow(job):
            job = state
    if job.status != "succeeded":
        raise SystemExit(f"the job ended as {job.status}: {job.error_code}")
    return job


async def separate(
    client: StemyardClient, path: Path, *, model: str, stems: Sequence[str] | None = None
) -> dict[str, Any]:
    """Submit the file and wait; the job as the API shows it, with `seconds` of wall."""
    started = time.perf_counter()
    job = await succeeded(client, await client.submit(path, model=model, stems=stems))
    return dict(job.document) | {"seconds": time.perf_counter() - started}


def tell_orchestrators(**told: float | str) -> None:
    """What the stack does not know of reaches its services through the environment."""
    for name, value in told.items():
        os.environ[f"STEMYARD_ORCHESTRATOR_{name}"] = str(value)
