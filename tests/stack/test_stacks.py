"""A song through either stack, and what happens when a process of it is killed meanwhile."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from time import monotonic

import numpy as np
import psutil
import pytest
import pytest_asyncio
import soundfile
import tritonclient.grpc as triton_sync
import tritonclient.grpc.aio as triton

from stemyard.client import Job
from stemyard.stack.assembly import Stack
from stemyard.stack.triton import SHARED_MEMORY
from stemyard.stack.waiting import until
from tests.stack.conftest import (
    OUTPUT,
    digests,
    finished,
    killed,
    signed_in,
    tiny_full_stack,
    tiny_stack,
)

NAMES = ("one-machine", "full")
PROGRESS_LIMIT_S = 60.0
FIRST_SEGMENT_LIMIT_S = 5.0
START_LIMIT_S = 60.0
REQUEST_TIMEOUT_S = 60.0

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(
    scope="module", loop_scope="module", params=[tiny_stack, tiny_full_stack], ids=NAMES
)
async def stack(request: pytest.FixtureRequest, runtimes: Path) -> AsyncGenerator[Stack]:
    async with request.param(runtimes / request.param.__name__) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def undisturbed(stack: Stack, song_file: Path) -> Job:
    """The job as it is when nothing goes wrong."""
    async with signed_in(stack, email="calm@example.com") as client:
        job = await finished(client, await client.submit(song_file, output=OUTPUT))
    assert job.status == "succeeded"
    return job


async def test_stems_have_exactly_the_songs_frames_and_rate(
    stack: Stack, undisturbed: Job, song_file: Path, tmp_path: Path
) -> None:
    source = soundfile.info(song_file)
    async with signed_in(stack, email="frames@example.com") as client:
        job = await finished(client, await client.submit(song_file, output=OUTPUT))
        for stem in job.stems:
            target = tmp_path / f"{stem.stem}.wav"
            await client.download(job, stem, target=target)
            found = soundfile.info(target)
            assert (found.frames, found.samplerate) == (source.frames, source.samplerate)
            assert (found.channels, found.subtype) == (2, "PCM_24")
    assert digests(job) == digests(undisturbed)
    assert set(digests(job)) == {"drums", "bass", "other", "vocals"}


async def test_a_killed_triton_only_delays_the_job(
    stack: Stack, undisturbed: Job, song_file: Path
) -> None:
    async with signed_in(stack, email="triton@example.com") as client:
        job = await client.submit(song_file, output=OUTPUT)

        async def halfway() -> bool:
            now = await client.job(job.id)
            assert not now.is_over, "the song is too short for this test"
            return now.progress > 0.25

        await until(halfway, timeout_s=PROGRESS_LIMIT_S)
        dead = await killed(stack, "triton")
        await stack.processes["triton"].ready()
        ready_at = monotonic()
        before = (await client.job(job.id)).progress

        async def next_segment_done() -> bool:
            return (await client.job(job.id)).progress > before

        await until(next_segment_done, timeout_s=PROGRESS_LIMIT_S)
        assert monotonic() - ready_at < FIRST_SEGMENT_LIMIT_S
        job = await finished(client, job)
    assert job.status == "succeeded"
    assert job.document["run"] == 1
    assert digests(job) == digests(undisturbed)
    assert list(SHARED_MEMORY.glob(f"stemyard-*-{dead}-*")) == []


@pytest.mark.parametrize("name", ["gateway", "postgresql"])
async def test_a_job_outlives_the_death_of_a_server(
    stack: Stack, undisturbed: Job, song_file: Path, name: str
) -> None:
    async with signed_in(stack, email=f"{name}@example.com") as client:
        job = await client.submit(song_file, output=OUTPUT)
        await killed(stack, name)
        await stack.ready(timeout_s=START_LIMIT_S)
        job = await finished(client, job)
    assert job.status == "succeeded"
    assert digests(job) == digests(undisturbed)


async def test_eight_concurrent_segments_share_executions(stack: Stack) -> None:
    """Dynamic batching of a real network, by Triton's own counters."""
    async with triton.InferenceServerClient(stack.triton.grpc_address) as client:
        before = await _counts(client, "tiny-batched")
        mix = np.zeros((1, 2, 343_980), dtype=np.float32)
        await asyncio.gather(*(_separate(client, "tiny-batched", mix) for _ in range(8)))

        # Triton counts a request after it has answered it.
        async def all_counted() -> bool:
            return (await _counts(client, "tiny-batched"))[0] == before[0] + 8

        await until(all_counted, timeout_s=REQUEST_TIMEOUT_S)
        after = await _counts(client, "tiny-batched")
    assert after[1] - before[1] <= 4


async def test_the_window_changes_no_byte(
    runtimes: Path, undisturbed: Job, song_file: Path
) -> None:
    """Nor does the kind of stack. And when the block ends, nothing of it is left."""
    async with tiny_stack(runtimes / "wide", window=5, models=("tiny",)) as wide:
        async with signed_in(wide, email="wide@example.com") as client:
            job = await finished(client, await client.submit(song_file, output=OUTPUT))
        assert digests(job) == digests(undisturbed)
        names = ("postgresql", "triton", "gateway", "orchestrator")
        pids = [wide.processes[name].pid for name in names]
    assert [pid for pid in pids if pid is not None and psutil.pid_exists(pid)] == []
    assert list(SHARED_MEMORY.glob(f"stemyard-*-{pids[1]}-*")) == []


async def _separate(client: triton.InferenceServerClient, model: str, mix: np.ndarray) -> None:
    tensor = triton_sync.InferInput("mix", mix.shape, "FP32")
    tensor.set_data_from_numpy(mix)
    wanted = [triton_sync.InferRequestedOutput("drums")]
    await client.infer(model, [tensor], outputs=wanted, client_timeout=REQUEST_TIMEOUT_S)


async def _counts(client: triton.InferenceServerClient, model: str) -> tuple[int, int]:
    answer = await client.get_inference_statistics(model, client_timeout=REQUEST_TIMEOUT_S)
    (statistics,) = answer.model_stats
    return statistics.inference_count, statistics.execution_count
