"""Kafka is away: songs are accepted all the same, and all are separated when it is back."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import pytest_asyncio
import soundfile

from stemyard.client import Job, StemyardClient
from stemyard.stack.full import FullStack
from tests.stack.conftest import PASSWORD, finished, killed, signed_in, tiny_full_stack
from tests.stack.metrics import counted

DONE_WITHIN_S = 60.0
SHORT_S = 2.0

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(runtimes: Path) -> AsyncGenerator[FullStack]:
    with pytest.MonkeyPatch.context() as patch:
        # What the broker brings late must not be found by the sweep meanwhile.
        patch.setenv("STEMYARD_ORCHESTRATOR_UNDISPATCHED_AFTER_S", "3600")
        async with tiny_full_stack(runtimes / "broker-away") as running:
            yield running


@pytest.fixture
def short_song(song_file: Path, tmp_path: Path) -> Path:
    samples, rate_hz = soundfile.read(song_file, frames=round(SHORT_S * 44_100))
    path = tmp_path / "short.wav"
    soundfile.write(path, samples, rate_hz, subtype="PCM_16")
    return path


async def test_songs_are_accepted_while_it_is_away_and_done_soon_after_its_return(
    stack: FullStack, short_song: Path
) -> None:
    broker = stack.processes["kafka"]
    async with signed_in(stack, email="away@example.com") as client:
        await broker.stop()
        jobs = [await client.submit(short_song) for _ in range(2)]
        # One that starts now finds no broker either.
        await killed(stack, "gateway-2")
        await stack.processes["gateway-2"].ready()
        async with StemyardClient(stack.services.gateways[1].address) as other:
            await other.sign_in(email="away@example.com", password=PASSWORD)
            jobs += [await other.submit(short_song) for _ in range(2)]
        assert {(await client.job(job.id)).status for job in jobs} == {"accepted"}
        await stack.processes.start(broker.plan).ready()
        async with asyncio.timeout(DONE_WITHIN_S):
            ended: list[Job] = await asyncio.gather(*(finished(client, job) for job in jobs))
    assert [job.status for job in ended] == ["succeeded"] * len(jobs)
    doors = [orchestrator.metrics for orchestrator in stack.services.orchestrators]
    brought = [await counted(door, "dispatch_total", path="kafka") for door in doors]
    assert sum(brought) == len(jobs)
