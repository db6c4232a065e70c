"""Whole jobs whose songs and stems lie in a real S3 store."""

import hashlib
from collections.abc import AsyncGenerator

import pytest

from stemcore.jobs import JobStatus
from stemcore.storage.minio import MinioStore, open_minio
from stemcore.storage.settings import S3Settings
from tests.integration.orchestrator.cards import GAINS, SEGMENT_SAMPLES
from tests.integration.orchestrator.conftest import ENDED, Floor, Jobs
from tests.integration.orchestrator.gate import Gate
from tests.integration.orchestrator.songs import wav
from tests.integration.stemcore.encoded import tones
from tests.integration.stemcore.faulty_link import faulty_link, unharmed, withheld
from tests.servers.buckets import bucket_of, incomplete_uploads
from tests.servers.minio import RunningMinio


@pytest.fixture
def bucket(minio_server: RunningMinio) -> S3Settings:
    return bucket_of(minio_server, part_bytes=5 << 20)


@pytest.fixture
async def store(bucket: S3Settings) -> AsyncGenerator[MinioStore]:
    """In the place of the directory that the other tests use."""
    async with open_minio(bucket) as store:
        yield store


async def content(store: MinioStore, key: str) -> bytes:
    return b"".join([chunk async for chunk in store.read(key)])


async def test_stems_are_stored_in_parts_and_whole(
    floor: Floor, jobs: Jobs, store: MinioStore
) -> None:
    job_id = await jobs.submit(wav(tones(1_000_000)))
    async with floor.open():
        row = await jobs.become(job_id, *ENDED)
    assert row["status"] == "succeeded", row["error"]
    for result in row["results"]:
        data = await content(store, result["key"])
        assert len(data) == result["size_bytes"] > 5 << 20
        assert hashlib.sha256(data).hexdigest() == result["sha256"]
    assert await store.delete_prefix(f"results/{job_id}/1/") == len(GAINS)


async def test_a_cancelled_run_leaves_no_object_and_no_part(
    floor: Floor, jobs: Jobs, store: MinioStore, minio_server: RunningMinio
) -> None:
    before = incomplete_uploads(minio_server)
    gate = Gate(before=1_000_000 // SEGMENT_SAMPLES)
    floor.separator = gate
    job_id = await jobs.submit(wav(tones(1_200_000)))
    async with floor.open():
        await gate.reached.wait()
        await jobs.cancel(job_id)
        gate.opened.set()
        follower = await jobs.submit(wav(tones(1_000)))
        assert (await jobs.become(follower, *ENDED))["status"] == "succeeded"
    assert await store.delete_prefix(f"results/{job_id}/") == 0
    assert incomplete_uploads(minio_server) == before


async def test_a_song_that_is_gone_ends_the_job_at_once(
    floor: Floor, jobs: Jobs, store: MinioStore
) -> None:
    job_id = await jobs.submit(wav(tones(1_000)))
    await store.delete_prefix("sources/")
    async with floor.open():
        row = await jobs.become(job_id, *ENDED)
    assert (row["status"], row["error"]["code"]) == ("failed", "source_missing")
    assert row["claims"] == 1


async def test_a_song_that_was_changed_is_not_separated(
    floor: Floor, jobs: Jobs, store: MinioStore
) -> None:
    job_id = await jobs.submit(wav(tones(1_000)))
    row = await jobs.row(job_id)

    async def other() -> AsyncGenerator[bytes]:
        yield wav(tones(1_000)[::-1])

    await store.put(row["source_key"], other())
    async with floor.open():
        row = await jobs.become(job_id, *ENDED)
    assert (row["status"], row["error"]["code"]) == ("failed", "source_damaged")


async def test_a_store_away_for_a_while_only_delays_the_job(
    floor: Floor, jobs: Jobs, bucket: S3Settings, minio_server: RunningMinio
) -> None:
    floor.backoff_s = 2.0
    job_id = await jobs.submit(wav(tones(10_000)))
    impatient = {"read_timeout_s": 0.5, "retries": 0}
    async with faulty_link(minio_server.endpoint) as link:
        beyond = bucket.model_copy(update={"endpoint": link.endpoint, **impatient})
        async with open_minio(beyond) as floor.store:
            link.requests = withheld
            async with floor.open():
                await jobs.become(job_id, JobStatus.RUNNING)
                await jobs.become(job_id, JobStatus.QUEUED)
                link.requests = unharmed
                row = await jobs.become(job_id, *ENDED)
    assert row["status"] == "succeeded", row["error"]
    assert (await jobs.events(job_id)).count("job.running") == 2
