"""Whole jobs on one slot: real database, store, decoder and encoders; stems by gains."""

import asyncio
import dataclasses
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from orchestrator.adapters.memory import MemorySeparator
from orchestrator.adapters.postgres import PostgresClaims
from orchestrator.claims import Claim, Outcome
from orchestrator.slots import Slot
from stemcore.audio_decoder import DecodeLimits
from stemcore.catalogue.port import ServedModel
from stemcore.database.notifications import Notifications
from stemcore.errors import ErrorCode, Unavailable
from stemcore.jobs import JobStatus
from stemcore.model_card import ModelCard
from stemcore.separation_request import AudioFormat, ClipMode, OutputOptions
from stemcore.storage.filesystem import FilesystemStore
from tests.integration.orchestrator.cards import GAINS, SEGMENT_SAMPLES, gain_card
from tests.integration.orchestrator.conftest import LEASE_S, Floor, Jobs
from tests.integration.stemcore.encoded import encode, silent_film, tones

STAGES = {"queue_s", "fetch_s", "decode_s", "inference_s", "join_s", "encode_s", "store_s"}
ENDED = (JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED)
# One step of 24 bits, and what float32 loses in the joining.
SAME_24 = 2.0**-22
# Down to the model's rate and back: the tones lie far below either band's edge.
SAME_RESAMPLED = 1e-3


def wav(samples: NDArray[np.float32], *, rate_hz: int = 44_100, subtype: str = "FLOAT") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate_hz, format="WAV", subtype=subtype)
    return file.getvalue()


def song_of(frames: int, *, channels: int = 2, rate_hz: int = 44_100) -> NDArray[np.float32]:
    """Tones without an offset: Demucs adds the track's mean to every stem, and so do we."""
    song = tones(frames, channels=channels, rate_hz=rate_hz)
    return song - song.mean(dtype=np.float64).astype(np.float32)


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
    assert {
        "queue_s",
        "fetch_s",
        "decode_s",
        "inference_s",
        "join_s",
        "encode_s",
        "store_s",
    } <= set(row["ledger"])
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


def _not_audio(data: bytes) -> Callable[[Path], bytes]:
    return lambda _: data


def _not_numbers(_: Path) -> bytes:
    song = song_of(44_100)
    song[100] = np.nan
    return wav(song)


BAD: dict[str, tuple[ErrorCode, Callable[[Path], bytes]]] = {
    "empty": (ErrorCode.EMPTY_FILE, _not_audio(b"")),
    "text": (ErrorCode.UNSUPPORTED_FORMAT, _not_audio(b"La la la\n" * 500)),
    "playlist": (ErrorCode.PLAYLIST_NOT_ALLOWED, _not_audio(b"ffconcat version 1.0\nfile a.wav\n")),
    "noise": (
        ErrorCode.UNSUPPORTED_FORMAT,
        _not_audio(np.random.default_rng(9).bytes(200_000)),
    ),
    "no samples": (ErrorCode.NO_SAMPLES, _not_audio(wav(tones(0)))),
    "no audio": (
        ErrorCode.NO_AUDIO_STREAM,
        lambda folder: silent_film(folder / "film.mp4").read_bytes(),
    ),
    "not numbers": (ErrorCode.INVALID_SAMPLES, _not_numbers),
    "too long": (ErrorCode.AUDIO_TOO_LONG, _not_audio(wav(tones(4 * 44_100)))),
}


@pytest.mark.parametrize(("code", "source"), BAD.values(), ids=BAD)
async def test_bad_input_ends_the_job_at_once_and_leaves_nothing(
    floor: Floor, jobs: Jobs, tmp_path: Path, code: ErrorCode, source: Callable[[Path], bytes]
) -> None:
    floor.limits = DecodeLimits(max_duration_s=3.0)
    job_id = await jobs.submit(source(tmp_path))
    async with floor.open(), asyncio.timeout(5):
        row = await jobs.become(job_id, *ENDED)
    assert (row["status"], row["error"]["code"]) == ("failed", code)
    assert row["claims"] == 1
    assert floor.results() == []
    assert floor.scratch_files() == []


@pytest.mark.parametrize(
    ("wishes", "code"),
    [
        ({"model": "nobody"}, ErrorCode.UNKNOWN_MODEL),
        ({"model": "refused"}, ErrorCode.MODEL_REFUSED),
        ({"stems": ("drums", "kazoo")}, ErrorCode.UNKNOWN_STEM),
        ({"stems": ()}, ErrorCode.UNKNOWN_STEM),
    ],
)
async def test_wishes_that_cannot_be_met(
    floor: Floor, jobs: Jobs, wishes: dict[str, Any], code: ErrorCode
) -> None:
    refused = ServedModel(card=gain_card("refused"), ready=True, refusal="No parity.")
    floor.models = (*floor.models, refused)
    job_id = await jobs.submit(wav(tones(1_000)), **wishes)
    async with floor.open():
        row = await jobs.become(job_id, *ENDED)
    assert (row["status"], row["error"]["code"]) == ("failed", code)


class Gate:
    """A separator that stops before one of its segments until it is let go."""

    def __init__(self, *, before: int) -> None:
        self._inner = MemorySeparator(GAINS)
        self._before = before
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()

    async def separate(
        self, window: NDArray[np.float32], *, card: ModelCard, stems: Sequence[str]
    ) -> NDArray[np.float32]:
        if self._inner.segments >= self._before:
            self.reached.set()
            await self.opened.wait()
        return await self._inner.separate(window, card=card, stems=stems)


async def stopped_midway(floor: Floor, jobs: Jobs) -> Any:
    gate = Gate(before=2)
    floor.separator = gate
    job_id = await jobs.submit(wav(tones(10 * SEGMENT_SAMPLES)))
    return gate, job_id


async def test_cancelling_stops_the_run_and_leaves_nothing(floor: Floor, jobs: Jobs) -> None:
    gate, job_id = await stopped_midway(floor, jobs)
    async with floor.open():
        await gate.reached.wait()
        await jobs.cancel(job_id)
        follower = await jobs.submit(wav(tones(1_000)))
        gate.opened.set()
        assert (await jobs.become(follower, *ENDED))["status"] == "succeeded"
        assert floor.scratch_files() == []
    assert (await jobs.row(job_id))["status"] == "cancelled"
    assert not [key for key in floor.results() if str(job_id) in key]


async def test_a_job_taken_over_is_published_by_its_new_holder_alone(
    floor: Floor, jobs: Jobs
) -> None:
    gate, job_id = await stopped_midway(floor, jobs)
    successor = dataclasses.replace(floor, separator=MemorySeparator(GAINS))
    async with floor.open():
        await gate.reached.wait()
        # What the sweeper does to a worker it believes dead.
        await jobs.pool.execute(
            "UPDATE jobs SET status = 'queued', lease_expires_at = NULL WHERE id = $1", job_id
        )
        async with successor.open():
            row = await jobs.become(job_id, *ENDED)
            gate.opened.set()
    assert (row["status"], row["lease_token"]) == ("succeeded", 2)
    assert {key.split("/")[2] for key in floor.results()} == {"2"}


async def test_a_worker_that_is_told_to_stop_gives_its_job_back_uncounted(
    floor: Floor, jobs: Jobs
) -> None:
    gate, job_id = await stopped_midway(floor, jobs)
    async with floor.open():
        await gate.reached.wait()
    row = await jobs.row(job_id)
    assert (row["status"], row["claims"]) == ("queued", 0)
    assert floor.scratch_files() == []
    assert floor.results() == []


class SlowToSettle(PostgresClaims):
    """A book in which success takes until it is told to go on."""

    begun: asyncio.Event
    go_on: asyncio.Event

    async def succeed(self, claim: Claim, outcome: Outcome) -> bool:
        written = await super().succeed(claim, outcome)
        self.begun.set()
        await self.go_on.wait()
        return written


async def test_results_already_published_survive_being_told_to_stop(
    floor: Floor, jobs: Jobs, notifications: Notifications
) -> None:
    claims = SlowToSettle(jobs.pool, notifications, owner="w", lease_length_s=LEASE_S)
    claims.begun, claims.go_on = asyncio.Event(), asyncio.Event()
    job_id = await jobs.submit(wav(tones(10_000)))
    async with dataclasses.replace(floor, claims=claims).open() as slot:
        await claims.begun.wait()
        slot.cancel()
        claims.go_on.set()
        await asyncio.wait((slot,))
    assert (await jobs.row(job_id))["status"] == "succeeded"
    assert len(floor.results()) == len(GAINS)


class Unanswering(PostgresClaims):
    """A book whose every success is written and whose every answer is lost."""

    async def succeed(self, claim: Claim, outcome: Outcome) -> bool:
        await super().succeed(claim, outcome)
        raise Unavailable(ErrorCode.SERVICE_UNAVAILABLE, "lost")


async def test_results_whose_publication_is_uncertain_are_kept(
    floor: Floor, jobs: Jobs, notifications: Notifications
) -> None:
    floor.claims = Unanswering(jobs.pool, notifications, owner="w", lease_length_s=LEASE_S)
    job_id = await jobs.submit(wav(tones(10_000)))
    follower = await jobs.submit(wav(tones(10_000)))
    async with floor.open():
        await jobs.become(follower, JobStatus.RUNNING, *ENDED)
    assert (await jobs.row(job_id))["status"] == "succeeded"
    assert len([key for key in floor.results() if str(job_id) in key]) == len(GAINS)


async def test_a_slot_told_to_stop_finishes_its_job_first(floor: Floor, jobs: Jobs) -> None:
    gate, job_id = await stopped_midway(floor, jobs)
    waiting = await jobs.submit(wav(tones(1_000)))
    stopping = asyncio.Event()
    async with floor.slot() as slot:
        running = asyncio.create_task(slot.run(stopping))
        await gate.reached.wait()
        stopping.set()
        gate.opened.set()
        await running
    assert (await jobs.row(job_id))["status"] == "succeeded"
    assert (await jobs.row(waiting))["status"] == "queued"


class Failing:
    """A separator that fails."""

    def __init__(self, error: Exception, *, times: int) -> None:
        self._inner = MemorySeparator(GAINS)
        self._error = error
        self._left = times

    async def separate(
        self, window: NDArray[np.float32], *, card: ModelCard, stems: Sequence[str]
    ) -> NDArray[np.float32]:
        if self._left:
            self._left -= 1
            raise self._error
        return await self._inner.separate(window, card=card, stems=stems)


AWAY = Unavailable(ErrorCode.ENGINE_UNAVAILABLE, "away")


async def test_an_engine_that_stays_away_only_delays_the_job(floor: Floor, jobs: Jobs) -> None:
    floor.separator = Failing(AWAY, times=2)
    floor.window = 1
    job_id = await jobs.submit(wav(tones(10_000)))
    async with floor.open():
        row = await jobs.become(job_id, *ENDED)
    assert row["status"] == "succeeded"
    assert (await jobs.events(job_id)).count("job.running") == 3


@pytest.mark.parametrize(
    ("error", "code"),
    [(AWAY, "engine_unavailable"), (ValueError("a mistake of ours"), "internal_error")],
)
async def test_the_third_failure_in_a_row_is_the_last(
    floor: Floor, jobs: Jobs, error: Exception, code: str
) -> None:
    floor.separator = Failing(error, times=100)
    job_id = await jobs.submit(wav(tones(10_000)))
    async with floor.open():
        row = await jobs.become(job_id, *ENDED)
    assert (row["status"], row["error"]["code"]) == ("failed", code)
    assert row["error"]["details"] == {"attempts": 3}
    assert "mistake" not in row["error"]["message"]
    assert floor.results() == []


async def test_nothing_is_claimed_while_no_model_is_ready(floor: Floor, jobs: Jobs) -> None:
    floor.models = (ServedModel(card=gain_card(), ready=False),)
    job_id = await jobs.submit(wav(tones(10_000)))
    async with floor.slot() as slot:
        assert await slot._next_claim() is None
    assert (await jobs.row(job_id))["claims"] == 0


async def test_a_model_that_gives_no_numbers_is_not_published(floor: Floor, jobs: Jobs) -> None:
    floor.separator = MemorySeparator({**GAINS, "drums": float("nan")})
    job_id = await jobs.submit(wav(tones(10_000)))
    async with floor.open():
        row = await jobs.become(job_id, *ENDED)
    assert (row["status"], row["error"]["code"]) == ("failed", "engine_failed")
