"""Other systems at Kafka's doors, and the full stack while Kafka is away."""

import asyncio
import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import soundfile

from stemcore.topics import DEAD_LETTERS_TOPIC, SUBMISSIONS_TOPIC
from stemyard.client import Job, StemyardClient
from stemyard.stack.full import FullStack
from stemyard.stack.minio import open_bucket
from stemyard.stack.services import DEMO_EMAIL, DEMO_PASSWORD, DEMO_PREFIX
from stemyard.stack.waiting import until
from stemyard.up import submission_line
from tests.stack.conftest import (
    PASSWORD,
    digests,
    finished,
    killed,
    signed_in,
    tiny_full_stack,
)
from tests.stack.kcat import LIMIT_S, events_of, events_so_far, shell
from tests.stack.metrics import counted

DONE_WITHIN_S = 60.0
SHORT_S = 2.0

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(runtimes: Path) -> AsyncGenerator[FullStack]:
    with pytest.MonkeyPatch.context() as patch:
        # What the broker brings late must not be found by the sweep meanwhile.
        patch.setenv("STEMYARD_ORCHESTRATOR_UNDISPATCHED_AFTER_S", "3600")
        async with tiny_full_stack(runtimes / "broker", demo_account=True) as running:
            yield running


@pytest.fixture
def short_song(song_file: Path, tmp_path: Path) -> Path:
    samples, rate_hz = soundfile.read(song_file, frames=round(SHORT_S * 44_100))
    path = tmp_path / "short.wav"
    soundfile.write(path, samples, rate_hz, subtype="PCM_16")
    return path


async def put(stack: FullStack, key: str, path: Path) -> None:
    async def whole() -> AsyncGenerator[bytes]:
        yield path.read_bytes()

    async with open_bucket(stack.minio) as bucket:
        await bucket.put(key, whole())


async def first_accepted_by_message(bootstrap: str) -> str:
    """Its id, once there is one."""
    found: list[str] = []

    async def there() -> bool:
        events = await events_so_far(bootstrap)
        found[:] = [event["job_id"] for event in events if "submission" in event["data"]]
        return bool(found)

    await until(there, timeout_s=LIMIT_S)
    return found[0]


async def dead_letters(bootstrap: str) -> list[dict[str, Any]]:
    lines = await shell(f"kcat -C -q -e -o beginning -b {bootstrap} -t {DEAD_LETTERS_TOPIC}")
    return [json.loads(line) for line in lines.splitlines()]


async def test_a_song_submitted_with_kcat_is_separated_as_one_sent_by_http(
    stack: FullStack, short_song: Path
) -> None:
    key, broker = f"{DEMO_PREFIX}short.wav", stack.kafka.bootstrap
    await put(stack, key, short_song)
    await shell(submission_line(broker, source_key=key, filename="short.wav"))
    job_id = await first_accepted_by_message(broker)
    events = await events_of(broker, job_id=job_id, upto="job.succeeded")
    assert [event["event"] for event in events] == [
        f"job.{status}" for status in ("accepted", "queued", "running", "succeeded")
    ]
    async with StemyardClient(stack.gateway.address) as client:
        await client.sign_in(email=DEMO_EMAIL, password=DEMO_PASSWORD)
        by_message = await client.job(job_id)
        by_http = await finished(client, await client.submit(short_song))
    assert by_message.status == by_http.status == "succeeded"
    assert digests(by_message) == digests(by_http)


async def test_what_is_refused_is_told_with_its_reason(stack: FullStack) -> None:
    broker = stack.kafka.bootstrap
    await shell(submission_line(broker, source_key="sources/x/original", filename="x"))
    await shell(f"printf nonsense | kcat -P -b {broker} -t {SUBMISSIONS_TOPIC}")
    reasons: list[str] = []

    async def both_are_there() -> bool:
        reasons[:] = sorted(letter["reason"] for letter in await dead_letters(broker))
        return len(reasons) == 2

    await until(both_are_there, timeout_s=LIMIT_S)
    assert "Expecting value" in reasons[0]
    assert "does not lie below 'submissions/demo/'" in reasons[1]


async def test_a_rebalance_in_the_middle_of_jobs_loses_and_repeats_nothing_visible(
    stack: FullStack, song_file: Path, short_song: Path
) -> None:
    leaving = stack.processes["orchestrator-2"]
    async with signed_in(stack, email="rebalance@example.com") as client:
        jobs = [await client.submit(song_file) for _ in range(2)]
        await leaving.stop()
        jobs += [await client.submit(short_song) for _ in range(2)]
        await stack.processes.start(leaving.plan).ready()
        jobs += [await client.submit(short_song) for _ in range(2)]
        ended = await asyncio.gather(*(finished(client, job) for job in jobs))
    assert [job.status for job in ended] == ["succeeded"] * len(jobs)
    for job in jobs:
        events = await events_of(stack.kafka.bootstrap, job_id=job.id, upto="job.succeeded")
        names = [event["event"] for event in events]
        assert (names[0], names[-1]) == ("job.accepted", "job.succeeded")
        assert (names.count("job.accepted"), names.count("job.succeeded")) == (1, 1)
        assert len({event["event_id"] for event in events}) == len(events)


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
    swept = [await counted(door, "dispatch_total", path="sweep") for door in doors]
    assert sum(swept) == 0
