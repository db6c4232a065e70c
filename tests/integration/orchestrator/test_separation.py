"""Whole jobs on one slot: real database, store, decoder and encoders; stems by gains."""

import dataclasses
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from stemcore.separation_request import AudioFormat, ClipMode, OutputOptions
from stemcore.storage.filesystem import FilesystemStore
from tests.integration.orchestrator.cards import GAINS, SEGMENT_SAMPLES, gain_card
from tests.integration.orchestrator.conftest import ENDED, Floor, Jobs
from tests.integration.orchestrator.songs import song_of, wav
from tests.integration.stemcore.encoded import encode, tones

STAGES = ("queue_s", "fetch_s", "decode_s", "inference_s", "join_s", "encode_s", "store_s")
# One step of 24 bits, and what float32 loses in the joining.
SAME_24 = 2.0**-22
# Down to the model's rate and back: the tones lie far below either band's edge.
SAME_RESAMPLED = 1e-3


async def stem(store: FilesystemStore, row: Any, name: str) -> tuple[NDArray[np.float32], int, str]:
    """Samples, sample rate and subtype of a published stem."""
    (key,) = (result["key"] for result in row["results"] if result["name"] == name)
    data = b"".join([chunk async for chunk in store.read(key)])
    with soundfile.SoundFile(io.BytesIO(data)) as file:
        return file.read(dtype="float32", always_2d=True), file.samplerate, file.subtype


async def test_every_stem_is_published_with_its_figures(
    floor: Floor, jobs: Jobs, store: FilesystemStore
) -> None:
    song = song_of(100_001)
    job_id = await jobs.submit(wav(song))
    async with floor.open():
        row = await jobs.become(job_id, *ENDED)
    assert row["status"] == "succeeded", row["error"]
    for name, gain in GAINS.items():
        samples, rate_hz, subtype = await stem(store, row, name)
        assert (rate_hz, subtype) == (44_100, "PCM_24")
        assert samples.shape == song.shape
        assert np.abs(samples - song * gain).max() < SAME_24
    assert row["source_facts"]["duration_s"] == pytest.approx(100_001 / 44_100)
    assert row["pin"]["digest"] == gain_card().digest
    # The gains add up to one, so only rounding is missed.
    assert row["measures"]["null_depth_db"] > 120
    assert row["ledger"]["segments"] == 7
    assert row["ledger"]["batch_sizes"] == {"1": 7}
    assert row["ledger"]["upload_s"] == 0.25
    assert set(STAGES) <= set(row["ledger"])
    events = await jobs.events(job_id)
    assert events[:3] == ["job.accepted", "job.queued", "job.running"]
    assert events[-1] == "job.succeeded"
    assert floor.scratch_files() == []


@pytest.mark.parametrize("rate_hz", [22_050, 48_000, 96_000])
async def test_a_source_of_another_rate_comes_back_at_its_own(
    floor: Floor, jobs: Jobs, store: FilesystemStore, rate_hz: int
) -> None:
    song = song_of(60_007, rate_hz=rate_hz)
    job_id = await jobs.submit(wav(song, rate_hz=rate_hz))
    async with floor.open():
        row = await jobs.become(job_id, *ENDED)
    samples, out_hz, _ = await stem(store, row, "drums")
    assert out_hz == rate_hz
    assert samples.shape == song.shape
    inside = slice(1_000, -1_000)
    assert np.abs(samples[inside] - song[inside] * 0.5).max() < SAME_RESAMPLED


async def test_another_rate_can_be_asked_for(
    floor: Floor, jobs: Jobs, store: FilesystemStore
) -> None:
    job_id = await jobs.submit(
        wav(tones(48_001, rate_hz=48_000), rate_hz=48_000),
        output=OutputOptions(format=AudioFormat.FLAC, bit_depth=16, sample_rate_hz=32_000),
    )
    async with floor.open():
        row = await jobs.become(job_id, *ENDED)
    samples, rate_hz, subtype = await stem(store, row, "bass")
    assert (len(samples), rate_hz, subtype) == (32_001, 32_000, "PCM_16")
    assert row["results"][0]["content_type"] == "audio/flac"
    assert floor.scratch_files() == []


@pytest.mark.parametrize(
    ("output", "subtype"),
    [
        (OutputOptions(bit_depth=16), "PCM_16"),
        (OutputOptions(bit_depth=32), "FLOAT"),
        (OutputOptions(format=AudioFormat.FLAC, bit_depth=24), "PCM_24"),
    ],
)
async def test_formats_and_depths(
    floor: Floor, jobs: Jobs, store: FilesystemStore, output: OutputOptions, subtype: str
) -> None:
    song = song_of(30_000)
    job_id = await jobs.submit(wav(song), output=output, stems=("bass",))
    async with floor.open():
        row = await jobs.become(job_id, *ENDED)
    assert [result["name"] for result in row["results"]] == ["bass"]
    # Only some of the stems: nothing to add up.
    assert row["measures"] == {}
    samples, _, found = await stem(store, row, "bass")
    assert found == subtype
    assert np.abs(samples - song * 0.25).max() < 2.0**-15


async def test_an_mp3_comes_back_with_the_frames_that_were_encoded(
    floor: Floor, jobs: Jobs, store: FilesystemStore, tmp_path: Path
) -> None:
    path = encode(tmp_path / "song.mp3", tones(70_001), codec="libmp3lame")
    job_id = await jobs.submit(path.read_bytes())
    async with floor.open():
        row = await jobs.become(job_id, *ENDED)
    samples, _, _ = await stem(store, row, "other")
    assert len(samples) == 70_001


async def test_mono_becomes_two_equal_sides(
    floor: Floor, jobs: Jobs, store: FilesystemStore
) -> None:
    song = song_of(40_000, channels=1)
    job_id = await jobs.submit(wav(song))
    async with floor.open():
        row = await jobs.become(job_id, *ENDED)
    samples, _, _ = await stem(store, row, "drums")
    assert np.array_equal(samples[:, 0], samples[:, 1])
    assert np.abs(samples[:, :1] - song * 0.5).max() < SAME_24
    assert row["source_facts"]["channels"] == 1


async def test_surround_keeps_its_centre_and_says_so(
    floor: Floor, jobs: Jobs, store: FilesystemStore, tmp_path: Path
) -> None:
    song = np.zeros((40_000, 6), dtype=np.float32)
    song[:, 2] = tones(40_000, channels=1)[:, 0]
    path = encode(tmp_path / "song.flac", song, codec="flac")
    job_id = await jobs.submit(path.read_bytes())
    async with floor.open():
        row = await jobs.become(job_id, *ENDED)
    samples, _, _ = await stem(store, row, "drums")
    assert np.abs(samples).max() > 0.04
    assert [warning["code"] for warning in row["warnings"]] == ["mixed_down"]


@pytest.mark.parametrize("frames", [1, 2])
async def test_the_shortest_songs(
    floor: Floor, jobs: Jobs, store: FilesystemStore, frames: int
) -> None:
    job_id = await jobs.submit(wav(tones(44_100)[5 : 5 + frames]))
    async with floor.open():
        row = await jobs.become(job_id, *ENDED)
    samples, _, _ = await stem(store, row, "drums")
    assert samples.shape == (frames, 2)
    assert np.isfinite(samples).all()


async def test_silence_has_no_null_depth(floor: Floor, jobs: Jobs, store: FilesystemStore) -> None:
    job_id = await jobs.submit(wav(np.zeros((50_000, 2), dtype=np.float32)))
    async with floor.open():
        row = await jobs.become(job_id, *ENDED)
    samples, _, _ = await stem(store, row, "drums")
    assert not samples.any()
    assert row["measures"] == {}


@pytest.mark.parametrize(
    ("clip", "bit_depth", "peak"),
    [(ClipMode.CLAMP, 24, 1.0), (ClipMode.RESCALE, 24, 1 / 1.01), (ClipMode.NONE, 32, 2.0)],
)
async def test_what_lies_beyond_full_scale(
    floor: Floor,
    jobs: Jobs,
    store: FilesystemStore,
    clip: ClipMode,
    bit_depth: int,
    peak: float,
) -> None:
    song = song_of(44_100)
    song *= 4 / np.abs(song).max()
    job_id = await jobs.submit(
        wav(song), clip=clip, output=OutputOptions(bit_depth=bit_depth), stems=("drums",)
    )
    async with floor.open():
        row = await jobs.become(job_id, *ENDED)
    samples, _, _ = await stem(store, row, "drums")
    assert np.abs(samples).max() == pytest.approx(peak, abs=1e-5)
    codes = [warning["code"] for warning in row["warnings"]]
    assert codes == (["clipped_samples"] if clip is ClipMode.CLAMP else [])


async def test_equal_jobs_give_equal_bytes_whatever_the_window(floor: Floor, jobs: Jobs) -> None:
    song = wav(tones(6 * SEGMENT_SAMPLES + 7))
    hashes: list[list[str]] = []
    for window in (1, 2, 4):
        job_id = await jobs.submit(song)
        async with dataclasses.replace(floor, window=window).open():
            row = await jobs.become(job_id, *ENDED)
        hashes.append([result["sha256"] for result in row["results"]])
    assert hashes[0] == hashes[1] == hashes[2]
