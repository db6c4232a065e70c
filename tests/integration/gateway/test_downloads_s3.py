"""The gateway over a real S3 store: uploads, what cuts them off, and both ways of downloading."""

import asyncio
import io
import signal
import zipfile
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from gateway.composition import Replacements
from gateway.settings import DownloadSettings, GatewaySettings, LimitSettings, ScratchSettings
from stemcore.storage.minio import MinioStore, open_minio
from stemcore.storage.settings import S3Settings, StorageSettings
from stemyard.stack.ports import free_ports
from stemyard.stack.waiting import until
from tests.integration.gateway.conftest import Caller, Floor, fresh, running_gateway, signed_in
from tests.integration.gateway.songs import wav, wav_header
from tests.integration.gateway.test_process import ALLOWED_GROWTH_BYTES, environment_of, running
from tests.servers.buckets import bucket_of, incomplete_uploads
from tests.servers.minio import RunningMinio

if TYPE_CHECKING:
    from stemcore.database.pool import Pool

SONG = bytes(range(256)) * 4
PART_BYTES = 5 << 20
PATIENCE_S = 30.0
LARGE_BYTES = 200 << 20


@pytest.fixture
def bucket(minio_server: RunningMinio) -> S3Settings:
    return bucket_of(minio_server, part_bytes=PART_BYTES)


@pytest.fixture
def s3_settings(settings: GatewaySettings, bucket: S3Settings, tmp_path: Path) -> GatewaySettings:
    return settings.model_copy(
        update={
            "storage": StorageSettings(s3=bucket),
            "scratch": ScratchSettings(root=tmp_path),
            "limits": LimitSettings(upload_bytes=64 << 20),
        }
    )


@fresh
async def store(bucket: S3Settings) -> AsyncGenerator[MinioStore]:
    async with open_minio(bucket) as store:
        yield store


@pytest.fixture
def s3_floor(pool: "Pool", store: MinioStore) -> Floor:
    return Floor(pool=pool, store=store)


@pytest.fixture(params=["streamed", "presigned"])
def way(request: pytest.FixtureRequest) -> str:
    return request.param


@fresh
async def s3_caller(
    s3_settings: GatewaySettings, replacements: Replacements, caller: Caller
) -> AsyncGenerator[Caller]:
    async with (
        running_gateway(s3_settings, instead=replacements) as gateway,
        signed_in(gateway, caller.account_id) as ours,
    ):
        yield ours


@fresh
async def downloader(
    s3_settings: GatewaySettings, replacements: Replacements, caller: Caller, way: str
) -> AsyncGenerator[Caller]:
    """Downloads either way, and follows redirects as browsers do."""
    downloads = DownloadSettings(presigned=way == "presigned", lifetime_s=60)
    settings = s3_settings.model_copy(update={"downloads": downloads})
    async with (
        running_gateway(settings, instead=replacements) as gateway,
        signed_in(gateway, caller.account_id) as ours,
    ):
        ours.http.follow_redirects = True
        yield ours


@fresh
async def stem(downloader: Caller, s3_floor: Floor) -> str:
    """The address of a stem whose bytes are SONG."""
    job = await downloader.submitted(file=("Für Elise.wav", wav()))
    await s3_floor.start(job["id"])
    await s3_floor.finish(job["id"], drums=SONG, vocals=b"v" * 3_000_000)
    return f"/v1/jobs/{job['id']}/stems/drums"


async def test_a_song_is_looked_into_and_stored(
    s3_caller: Caller, store: MinioStore, tmp_path: Path
) -> None:
    job = await s3_caller.submitted(file=("song.wav", wav()))
    assert job["source"]["sample_rate_hz"] == 8_000
    key = f"sources/{job['id']}/original"
    assert b"".join([chunk async for chunk in store.read(key)]) == wav()
    assert list(tmp_path.iterdir()) == []
    assert (await s3_caller.http.delete(f"/v1/jobs/{job['id']}")).status_code == 204
    assert await store.delete_prefix("sources/") == 0


async def test_what_is_no_audio_is_refused_and_leaves_nothing(
    s3_caller: Caller, store: MinioStore, tmp_path: Path
) -> None:
    for content in (b"%PDF-1.7 ", b"\x00\x01" * 50_000, b"x" * (PART_BYTES + 1)):
        answer = await s3_caller.submit(file=("song.wav", content))
        assert answer.status_code in {415, 422}, answer.text
    assert await store.delete_prefix("sources/") == 0
    assert list(tmp_path.iterdir()) == []


async def test_a_stem_comes_whole_with_its_name(downloader: Caller, stem: str) -> None:
    answer = await downloader.http.get(stem)
    assert (answer.status_code, answer.content) == (200, SONG)
    assert answer.headers["Content-Type"] == "audio/wav"
    assert answer.headers["Content-Length"] == str(len(SONG))
    assert answer.headers["Content-Disposition"] == (
        'attachment; filename="Fur Elise - drums.wav"; '
        "filename*=UTF-8''F%C3%BCr%20Elise%20-%20drums.wav"
    )


async def test_ranges(downloader: Caller, stem: str) -> None:
    for header, span in (
        ("bytes=0-0", (0, 1)),
        ("bytes=7-99", (7, 100)),
        ("bytes=-5", (1019, 1024)),
    ):
        answer = await downloader.http.get(stem, headers={"Range": header})
        assert (answer.status_code, answer.content) == (206, SONG[slice(*span)])
        assert answer.headers["Content-Range"] == f"bytes {span[0]}-{span[1] - 1}/{len(SONG)}"
    beyond = await downloader.http.get(stem, headers={"Range": f"bytes={len(SONG)}-"})
    assert (beyond.status_code, beyond.json()["error_code"]) == (416, "range_not_satisfiable")


async def test_head_and_entity_tags_are_answered_by_the_gateway(
    downloader: Caller, stem: str
) -> None:
    head = await downloader.http.head(stem)
    assert (head.status_code, head.history) == (200, [])
    assert head.headers["Content-Length"] == str(len(SONG))
    etag = {"If-None-Match": head.headers["ETag"]}
    assert (await downloader.http.get(stem, headers=etag)).status_code == 304


async def test_the_archive_holds_every_stem(downloader: Caller, stem: str) -> None:
    answer = await downloader.http.get(stem.replace("stems/drums", "archive"))
    assert answer.headers["Content-Length"] == str(len(answer.content))
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        drums, vocals = archive.infolist()
        assert archive.read(drums) == SONG
        assert archive.read(vocals) == b"v" * 3_000_000


async def test_a_result_that_is_lost_is_an_honest_error(
    downloader: Caller, stem: str, store: MinioStore
) -> None:
    await store.delete_prefix("results/")
    answer = await downloader.http.get(stem)
    assert (answer.status_code, answer.json()["error_code"]) == (404, "not_found")


@pytest.mark.parametrize("way", ["presigned"], indirect=True)
async def test_a_presigned_address_needs_no_account(
    downloader: Caller, stem: str, minio_server: RunningMinio
) -> None:
    redirect = await downloader.http.get(stem, follow_redirects=False)
    assert redirect.status_code == 307
    assert redirect.headers["Cache-Control"] == "no-store"
    address = redirect.headers["Location"]
    assert address.startswith(f"{minio_server.endpoint}/")
    assert "X-Amz-Expires=60" in address
    async with httpx.AsyncClient() as nobody:
        assert (await nobody.get(address)).content == SONG
        assert (await nobody.get(f"{address}0")).status_code == 403


def begun(*, parts: bool) -> tuple[AsyncIterator[bytes], asyncio.Event]:
    """A form that never ends, and the event that it has been sent as far as it goes."""
    sent = asyncio.Event()

    async def form() -> AsyncIterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n'
        yield wav_header(data_bytes=50 << 20)
        for _ in range(12 if parts else 1):
            yield bytes(1 << 20)
        sent.set()
        await asyncio.Event().wait()

    return form(), sent


FORM = {"Content-Type": "multipart/form-data; boundary=b"}


@pytest.mark.parametrize("parts", [False, True])
async def test_an_upload_whose_client_goes_leaves_nothing(
    s3_caller: Caller, minio_server: RunningMinio, store: MinioStore, pool: "Pool", *, parts: bool
) -> None:
    before = incomplete_uploads(minio_server)
    form, sent = begun(parts=parts)
    uploading = asyncio.create_task(s3_caller.http.post("/v1/jobs", content=form, headers=FORM))
    await sent.wait()
    if parts:
        await _until(lambda: incomplete_uploads(minio_server) > before)
    uploading.cancel()
    await asyncio.gather(uploading, return_exceptions=True)
    await _until(lambda: incomplete_uploads(minio_server) == before)
    assert await store.delete_prefix("sources/") == 0
    count = "SELECT count(*) FROM jobs WHERE account_id = $1"
    assert await pool.fetchval(count, s3_caller.account_id) == 0


async def test_an_upload_cut_off_by_kill_is_never_seen(
    caller: Caller,
    s3_settings: GatewaySettings,
    bucket: S3Settings,
    minio_server: RunningMinio,
    store: MinioStore,
    pool: "Pool",
    tmp_path: Path,
    unused_tcp_port: int,
) -> None:
    environment = environment_of(s3_settings, tmp_path, **_named(bucket))
    del environment["STORAGE__ROOT"]
    form, sent = begun(parts=True)
    before = incomplete_uploads(minio_server)
    async with running(
        "tests.integration.gateway.served", port=unused_tcp_port, environment=environment
    ) as gateway:
        headers = FORM | {"Authorization": caller.http.headers["Authorization"]}
        uploading = asyncio.create_task(
            gateway.http.post("/v1/jobs", content=form, headers=headers)
        )
        await sent.wait()
        await _until(lambda: incomplete_uploads(minio_server) > before)
        gateway.process.send_signal(signal.SIGKILL)
        await gateway.process.wait()
        uploading.cancel()
        await asyncio.gather(uploading, return_exceptions=True)
    # The server forgets it in time: tests/integration/stemcore/test_minio.py.
    assert incomplete_uploads(minio_server) > before
    assert await store.delete_prefix("sources/") == 0
    count = "SELECT count(*) FROM jobs WHERE account_id = $1"
    assert await pool.fetchval(count, caller.account_id) == 0


async def test_a_large_song_flows_through_without_being_held(
    caller: Caller,
    s3_settings: GatewaySettings,
    bucket: S3Settings,
    store: MinioStore,
    tmp_path: Path,
    unused_tcp_port: int,
) -> None:
    environment = environment_of(
        s3_settings, tmp_path, **_named(bucket), SCRATCH__ROOT=str(tmp_path)
    )
    environment["LIMITS__UPLOAD_BYTES"] = str(LARGE_BYTES)
    del environment["STORAGE__ROOT"]
    song = tmp_path / "song.wav"
    with song.open("wb") as file:
        file.write(wav_header(data_bytes=LARGE_BYTES))
        file.truncate(LARGE_BYTES)
    authorization = {"Authorization": caller.http.headers["Authorization"]}
    async with running(
        "tests.integration.gateway.served", port=unused_tcp_port, environment=environment
    ) as gateway:
        await gateway.http.get("/healthz/ready")
        before = gateway.peak_bytes()
        with song.open("rb") as file:
            answer = await gateway.http.post(
                "/v1/jobs", files={"file": ("song.wav", file)}, headers=authorization
            )
        assert answer.status_code == 202, answer.text
        assert gateway.peak_bytes() - before < ALLOWED_GROWTH_BYTES
    key = f"sources/{answer.json()['id']}/original"
    assert await store.size_bytes(key) == LARGE_BYTES


async def test_a_store_that_is_away_is_said_to_be(
    s3_settings: GatewaySettings, bucket: S3Settings, replacements: Replacements, caller: Caller
) -> None:
    (port,) = free_ports(1)
    away = bucket.model_copy(update={"endpoint": f"http://127.0.0.1:{port}", "retries": 0})
    settings = s3_settings.model_copy(update={"storage": StorageSettings(s3=away)})
    async with (
        running_gateway(settings, instead=replacements) as gateway,
        signed_in(gateway, caller.account_id) as ours,
    ):
        answer = await ours.submit()
        assert (answer.status_code, answer.json()["error_code"]) == (503, "storage_unavailable")
        missing = (await ours.http.get("/healthz/ready")).json()["details"]["missing"]
        assert missing == {"storage": "The object store does not answer."}


def _named(bucket: S3Settings) -> dict[str, str]:
    return {
        "STORAGE__S3__ENDPOINT": bucket.endpoint,
        "STORAGE__S3__BUCKET": bucket.bucket,
        "STORAGE__S3__ACCESS_KEY": bucket.access_key.get_secret_value(),
        "STORAGE__S3__SECRET_KEY": bucket.secret_key.get_secret_value(),
        "STORAGE__S3__PART_BYTES": str(bucket.part_bytes),
        "LIMITS__UPLOAD_BYTES": str(64 << 20),
    }


async def _until(holds: Callable[[], bool]) -> None:
    async def asked() -> bool:
        return holds()

    await until(asked, timeout_s=PATIENCE_S)
