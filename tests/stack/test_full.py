"""What only the full stack has: a broker, an object store, and several of each service."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from pathlib import Path

import psutil
import pytest
import pytest_asyncio
import soundfile

from stemyard.client import Job, StemyardClient
from stemyard.stack.full import FullStack
from tests.stack.conftest import (
    OUTPUT,
    PASSWORD,
    START_LIMIT_S,
    digests,
    finished,
    killed,
    signed_in,
    tiny_full_stack,
)
from tests.stack.kcat import events_of
from tests.stack.metrics import counted

ACCOUNTS = 5
JOBS_EACH = 10
SHORT_S = 2.0
LEAST_SHARE = 0.2
PROCESSES = ("kafka", "minio", "postgresql", "triton", "gateway", "orchestrator")

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(runtimes: Path) -> AsyncGenerator[FullStack]:
    async with tiny_full_stack(runtimes / "full-alone") as running:
        yield running


@pytest.fixture
def short_song(song_file: Path, tmp_path: Path) -> Path:
    samples, rate_hz = soundfile.read(song_file, frames=round(SHORT_S * 44_100))
    path = tmp_path / "short.wav"
    soundfile.write(path, samples, rate_hz, subtype="PCM_16")
    return path


async def per_orchestrator(stack: FullStack, name: str, **labels: str) -> list[float]:
    doors = [orchestrator.metrics for orchestrator in stack.services.orchestrators]
    return [await counted(door, name, **labels) for door in doors]


async def test_two_orchestrators_share_fifty_jobs_and_leave_the_sweep_nothing(
    stack: FullStack, short_song: Path
) -> None:
    async def ten_songs(client: StemyardClient) -> list[Job]:
        sent = [await client.submit(short_song) for _ in range(JOBS_EACH)]
        return [await finished(client, job) for job in sent]

    async with AsyncExitStack() as entered:
        clients = [
            await entered.enter_async_context(
                signed_in(stack, email=f"share-{index}@example.com", gateway=index % 2)
            )
            for index in range(ACCOUNTS)
        ]
        tens = await asyncio.gather(*map(ten_songs, clients))
    jobs = [job for ten in tens for job in ten]
    assert [job.status for job in jobs] == ["succeeded"] * len(jobs)
    assert len({tuple(digests(job).items()) for job in jobs}) == 1
    assert all(await per_orchestrator(stack, "kafka_partitions_assigned"))
    assert sum(await per_orchestrator(stack, "dispatch_total", path="kafka")) == len(jobs)
    assert sum(await per_orchestrator(stack, "dispatch_total", path="sweep")) == 0
    runs = await per_orchestrator(stack, "separation_duration_seconds_count", outcome="succeeded")
    assert sum(runs) == len(jobs)
    assert min(runs) >= LEAST_SHARE * len(jobs)


async def test_kcat_reads_what_became_of_a_job(stack: FullStack, short_song: Path) -> None:
    async with signed_in(stack, email="kcat@example.com") as client:
        job = await finished(client, await client.submit(short_song))
    events = await events_of(stack.kafka.bootstrap, job_id=job.id, upto="job.succeeded")
    assert [event["event"] for event in events] == [
        f"job.{status}" for status in ("accepted", "queued", "running", "succeeded")
    ]
    assert [event["seq"] for event in events] == sorted({event["seq"] for event in events})


@pytest.mark.parametrize("name", ["kafka", "minio"])
async def test_a_job_outlives_the_death_of_what_it_leans_on(
    stack: FullStack, song_file: Path, name: str
) -> None:
    async with signed_in(stack, email=f"{name}@example.com") as client:
        job = await client.submit(song_file, output=OUTPUT)
        await killed(stack, name)
        await stack.ready(timeout_s=START_LIMIT_S)
        job = await finished(client, job)
    assert job.status == "succeeded"


async def test_it_leaves_no_process_and_finds_everything_again(
    runtimes: Path, short_song: Path, tmp_path: Path
) -> None:
    """Rows, objects and records, although every port is another one."""
    folder = runtimes / "kept"
    changes = {"gateways": 1, "orchestrators": 1, "durable": True}
    async with tiny_full_stack(folder, **changes) as first:
        async with signed_in(first, email="kept@example.com") as client:
            job = await finished(client, await client.submit(short_song))
        await events_of(first.kafka.bootstrap, job_id=job.id, upto="job.succeeded")
        pids = [first.processes[name].pid for name in PROCESSES]
    assert [pid for pid in pids if pid is None or psutil.pid_exists(pid)] == []
    async with tiny_full_stack(folder, **changes) as second:
        async with StemyardClient(second.gateway.address) as client:
            await client.sign_in(email="kept@example.com", password=PASSWORD)
            found = await client.job(job.id)
            await client.download(found, found.stems[0], target=tmp_path / "stem.wav")
        await events_of(second.kafka.bootstrap, job_id=job.id, upto="job.succeeded")
    assert digests(found) == digests(job)
