"""From a form to a durable job, or to nothing."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import httpx
import pytest

from gateway.catalogue.service import CatalogueService
from gateway.composition import Replacements
from gateway.jobs.job import NewJob
from gateway.jobs.multipart import Part
from gateway.jobs.repository import JobRepository
from gateway.jobs.source_probe import FixedProbe
from gateway.jobs.submission import SubmissionService
from gateway.settings import GatewaySettings, StorageSettings
from stemcore.audio_decoder import SourceFacts
from stemcore.errors import ErrorCode, Unavailable
from stemcore.messages import JobRequested, decode
from stemcore.storage.filesystem import FilesystemStore
from stemcore.topics import JOBS_TOPIC
from stemyard.stack.waiting import until
from tests.integration.gateway.conftest import Caller, Gateway, running_gateway, signed_in
from tests.integration.gateway.songs import wav

if TYPE_CHECKING:
    from stemcore.database.pool import Pool


async def test_an_accepted_song_is_stored_written_down_and_announced(
    caller: Caller, gateway: Gateway, pool: "Pool"
) -> None:
    song = wav()
    answer = await caller.submit(file=("My Song.wav", song), metadata='{"album": "First"}')

    assert answer.status_code == 202
    job = answer.json()
    assert answer.headers["Location"] == f"/v1/jobs/{job['id']}"
    assert job["status"] == "accepted"
    assert job["source"]["name"] == "My Song.wav"
    assert job["source"]["sha256"] == hashlib.sha256(song).hexdigest()
    assert job["source"]["duration_s"] == pytest.approx(0.5)
    assert job["source"]["codec"] == "pcm_s16le"
    assert job["metadata"] == {"album": "First"}
    assert job["parameters"] == {
        "model": "stemyard-mini",
        "stems": ["drums", "bass", "other", "vocals"],
        "output": {"format": "wav", "bit_depth": 24, "sample_rate": None},
        "overlap": None,
        "clip": "clamp",
        "complement": "subtract",
        "shifts": 0,
        "seed": 0,
        "consistency": False,
        "preset": None,
    }
    assert (gateway.root / "sources" / job["id"] / "original").read_bytes() == song
    payload = await pool.fetchval(
        "SELECT payload FROM outbox WHERE topic = $1 AND key = $2", JOBS_TOPIC, job["id"]
    )
    message = decode(payload)
    assert isinstance(message, JobRequested)
    assert (message.job_id, message.account_id) == (UUID(job["id"]), caller.account_id)
    events = await pool.fetch("SELECT seq, type FROM job_events WHERE job_id = $1", message.job_id)
    assert [tuple(event) for event in events] == [(1, "job.accepted")]


async def test_every_option_reaches_the_job(caller: Caller) -> None:
    job = await caller.submitted(
        model="two-stems",
        stems="accompaniment,instrumental",
        output='{"format": "flac", "bit_depth": 16, "sample_rate": 48000}',
        overlap="0.5",
        clip="rescale",
        complement="sum",
        shifts="3",
        seed="77",
        consistency="true",
        priority="3",
    )
    assert job["priority"] == 3
    assert job["parameters"] == {
        "model": "two-stems",
        "stems": ["accompaniment", "instrumental"],
        "output": {"format": "flac", "bit_depth": 16, "sample_rate": 48000},
        "overlap": 0.5,
        "clip": "rescale",
        "complement": "sum",
        "shifts": 3,
        "seed": 77,
        "consistency": True,
        "preset": None,
    }


async def test_a_preset_chooses_and_what_stands_beside_it_overrides(caller: Caller) -> None:
    job = await caller.submitted(preset="best")
    assert job["parameters"]["preset"] == "best"
    assert job["parameters"]["model"] == "stemyard-mini"
    assert job["parameters"]["stems"] == ["drums", "bass", "other", "vocals"]
    assert job["parameters"]["shifts"] == 2
    job = await caller.submitted(preset="vocals", model="two-stems", shifts="1")
    assert job["parameters"]["preset"] == "vocals"
    assert job["parameters"]["model"] == "two-stems"
    assert (job["parameters"]["stems"], job["parameters"]["shifts"]) == (["vocals"], 1)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"preset": "loudest"}, "unknown_preset"),
        ({"preset": "drums", "stems": "guitar"}, "preset_unavailable"),
        ({"preset": "drums", "model": "two-stems"}, "unknown_stem"),
        ({"preset": "drums", "model": "unproven"}, "model_refused"),
    ],
)
async def test_a_preset_that_nothing_can_serve_is_refused(
    caller: Caller, gateway: Gateway, fields: dict[str, str], code: str
) -> None:
    before = gateway.stored_files()
    answer = await caller.submit(**fields)
    assert (answer.status_code, answer.json()["error_code"]) == (422, code)
    assert gateway.stored_files() == before


async def test_fields_may_come_after_the_file(caller: Caller) -> None:
    parts: list[tuple[str, Any]] = [
        ("stems", (None, "vocals")),
        ("file", ("song.wav", wav())),
        ("stems", (None, "drums")),
        ("output.bit_depth", (None, "16")),
    ]
    answer = await caller.http.post("/v1/jobs", files=parts)
    assert answer.status_code == 202, answer.text
    assert answer.json()["parameters"]["stems"] == ["drums", "vocals"]
    assert answer.json()["parameters"]["output"]["bit_depth"] == 16


async def test_a_repeated_submission_gets_the_first_answer_again(
    caller: Caller, gateway: Gateway, pool: "Pool"
) -> None:
    key = {"Idempotency-Key": "first"}
    first = await caller.submit(headers=key, stems="drums")
    files = gateway.stored_files()
    await pool.execute(
        "UPDATE jobs SET progress = 0.5, stage = 'inference' WHERE id = $1", first.json()["id"]
    )
    again = await caller.submit(headers=key, stems="drums")

    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json() == first.json()
    assert again.headers["Location"] == first.headers["Location"]
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert gateway.stored_files() == files


@pytest.mark.parametrize(
    "changes", [{"stems": "bass"}, {"file": ("song.wav", wav(seed=1))}], ids=["field", "file"]
)
async def test_a_key_used_with_another_form_is_a_conflict(
    caller: Caller, gateway: Gateway, changes: dict[str, Any]
) -> None:
    key = {"Idempotency-Key": "first"}
    first = await caller.submit(headers=key, stems="drums")
    files = gateway.stored_files()
    answer = await caller.submit(headers=key, **{"stems": "drums", **changes})
    assert answer.status_code == 409
    assert answer.json()["error_code"] == "idempotency_conflict"
    assert answer.json()["details"] == {"job_id": first.json()["id"]}
    assert gateway.stored_files() == files


async def test_one_key_makes_one_job_however_many_ask_at_once(
    caller: Caller, gateway: Gateway
) -> None:
    key, before = {"Idempotency-Key": "burst"}, gateway.stored_files()
    answers = await asyncio.gather(*(caller.submit(headers=key) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(gateway.stored_files()) == len(before) + 1


async def test_the_same_key_of_another_account_is_another_key(caller: Caller, sign_up: Any) -> None:
    key = {"Idempotency-Key": "first"}
    stranger = await sign_up()
    ours, theirs = await caller.submit(headers=key), await stranger.submit(headers=key)
    assert ours.json()["id"] != theirs.json()["id"]


async def test_too_many_live_jobs_are_refused_and_leave_nothing(
    caller: Caller, gateway: Gateway
) -> None:
    before = gateway.stored_files()
    answers = await asyncio.gather(*(caller.submit() for _ in range(12)))
    refused = [answer for answer in answers if answer.status_code != 202]
    assert [answer.status_code for answer in refused] == [429, 429]
    assert refused[0].json()["error_code"] == "too_many_jobs"
    assert refused[0].headers["Retry-After"] == "30"
    assert len(gateway.stored_files()) == len(before) + 10


async def test_too_many_live_jobs_are_told_before_the_song_is_sent(
    caller: Caller, gateway: Gateway
) -> None:
    answers = await asyncio.gather(*(caller.submit() for _ in range(10)))
    assert {answer.status_code for answer in answers} == {202}
    reader, writer = await _begun(caller, gateway)
    async with asyncio.timeout(10):
        assert b" 429 " in await reader.readline()
    writer.close()


async def _begun(
    caller: Caller, gateway: Gateway
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """The connection of a submission of 3 MB, up to the first byte of its file."""
    host, port = httpx.URL(gateway.address).host, httpx.URL(gateway.address).port
    reader, writer = await asyncio.open_connection(host, port)
    head = (
        f"POST /v1/jobs HTTP/1.1\r\nHost: {host}\r\nContent-Length: 3000000\r\n"
        f"Authorization: {caller.http.headers['Authorization']}\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
        '--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    )
    writer.write(head.encode())
    await writer.drain()
    return reader, writer


async def test_a_client_that_goes_away_in_the_middle_leaves_nothing(
    caller: Caller, gateway: Gateway, pool: "Pool"
) -> None:
    before = gateway.stored_files()
    _, writer = await _begun(caller, gateway)
    writer.write(wav(seconds=60)[:900_000])
    await writer.drain()

    async def one_more() -> bool:
        return len(gateway.stored_files()) == len(before) + 1

    async def as_before() -> bool:
        return gateway.stored_files() == before

    await until(one_more, timeout_s=10)
    writer.close()
    await until(as_before, timeout_s=10)
    count = "SELECT count(*) FROM jobs WHERE account_id = $1"
    assert await pool.fetchval(count, caller.account_id) == 0


async def test_a_store_that_is_away_is_said_to_be(
    caller: Caller,
    settings: GatewaySettings,
    replacements: Replacements,
    tmp_path: Path,
    pool: "Pool",
) -> None:
    blocked = tmp_path / "objects"
    blocked.write_bytes(b"a file where a directory should be")
    settings = settings.model_copy(update={"storage": StorageSettings(root=blocked)})
    async with (
        running_gateway(settings, instead=replacements) as gateway,
        signed_in(gateway, caller.account_id) as ours,
    ):
        answer = await ours.submit()
        assert (answer.status_code, answer.json()["error_code"]) == (503, "storage_unavailable")
        missing = (await ours.http.get("/healthz/ready")).json()["details"]["missing"]
        assert missing == {"storage": "The object store does not answer."}
    count = "SELECT count(*) FROM jobs WHERE account_id = $1"
    assert await pool.fetchval(count, caller.account_id) == 0


class LossyRepository(JobRepository):
    """Commits, and then loses the connection before it can say so."""

    async def add(self, job: NewJob) -> None:
        await super().add(job)
        raise Unavailable(ErrorCode.SERVICE_UNAVAILABLE, "The database does not answer.")


async def test_a_commit_whose_answer_was_lost_keeps_job_and_song(
    caller: Caller, pool: "Pool", replacements: Replacements, tmp_path: Path
) -> None:
    store = FilesystemStore(tmp_path)
    facts = SourceFacts(
        duration_s=1.0, sample_rate_hz=44_100, channels=2, codec="flac", container="flac"
    )
    assert replacements.catalogue is not None
    service = SubmissionService(
        LossyRepository(pool, max_live_jobs=10),
        store=store,
        probe=FixedProbe(facts),
        catalogue=CatalogueService(replacements.catalogue),
        default_model="stemyard-mini",
        max_upload_bytes=1_000,
    )
    submitted = await service.submit(caller.account_id, _form(b"song"), idempotency_key=None)
    assert (await caller.http.get(f"/v1/jobs/{submitted.job.id}")).status_code == 200
    assert await store.size_bytes(f"sources/{submitted.job.id}/original") == 4


async def _form(song: bytes) -> AsyncIterator[Part]:
    async def chunks() -> AsyncIterator[bytes]:
        yield song

    yield Part(name="file", filename="song.flac", chunks=chunks())
