"""The S3 store on good and bad links, at its start, and what its server keeps of uploads."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from minio.commonconfig import ENABLED, Filter
from minio.lifecycleconfig import Expiration, LifecycleConfig, Rule

from stemcore.storage.minio import MinioStore, open_minio
from stemcore.storage.minio_bucket import Bucket
from stemcore.storage.minio_lifecycle import rules_of
from stemcore.storage.port import ObjectMissing, StorageError
from stemcore.storage.settings import S3Settings
from stemyard.stack.ports import free_ports
from stemyard.stack.waiting import until
from tests.integration.stemcore.faulty_link import (
    BUFFER_BYTES,
    FaultyLink,
    cut,
    faulty_link,
    unharmed,
    withheld,
)
from tests.servers.buckets import bucket_of, incomplete_uploads, plain_client
from tests.servers.minio import RunningMinio, running_minio

PART_BYTES = 5 << 20
DATA = bytes(range(251)) * 60_000
IMPATIENT: dict[str, Any] = {"read_timeout_s": 0.5, "connect_timeout_s": 0.5, "retries": 1}
# However slow the machine: far beyond what the timeouts above come to.
PATIENCE_S = 60.0


async def chunked(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 100_000):
        yield data[start : start + 100_000]


async def answering(store: MinioStore) -> None:
    """A server that has just started says for a moment that it is not initialised."""

    async def answers() -> bool:
        try:
            await store.delete_prefix("nothing/")
        except StorageError:
            return False
        return True

    await until(answers, timeout_s=PATIENCE_S)


async def content(store: MinioStore, key: str) -> bytes:
    return b"".join([chunk async for chunk in store.read(key)])


@pytest.fixture
def settings(minio_server: RunningMinio) -> S3Settings:
    return bucket_of(minio_server, part_bytes=PART_BYTES)


def behind(link: FaultyLink, settings: S3Settings, **more: Any) -> S3Settings:
    return settings.model_copy(update={"endpoint": link.endpoint, **more})


async def test_memory_stays_at_a_few_parts(settings: S3Settings) -> None:
    async def song() -> AsyncIterator[bytes]:
        for _ in range(96):
            yield bytes(1 << 20)

    async with open_minio(settings) as store:
        tracemalloc.start()
        try:
            await store.put("song", song())
            _, put_peak = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            async for _chunk in store.read("song"):
                pass
            _, read_peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert put_peak < 5 * PART_BYTES
    assert read_peak < 5 * PART_BYTES


async def test_a_cancelled_upload_leaves_no_parts(
    minio_server: RunningMinio, settings: S3Settings
) -> None:
    begun = asyncio.Event()
    before = incomplete_uploads(minio_server)

    async def endless() -> AsyncIterator[bytes]:
        async for chunk in chunked(DATA):
            yield chunk
        begun.set()
        await asyncio.Event().wait()

    async with open_minio(settings) as store:
        putting = asyncio.create_task(store.put("song", endless()))
        await begun.wait()
        assert len(incomplete_uploads(minio_server) - before) == 1
        putting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await putting
    assert incomplete_uploads(minio_server) == before


async def test_a_frozen_store_is_given_up_in_time(
    minio_server: RunningMinio, settings: S3Settings
) -> None:
    async with open_minio(settings) as store:
        await store.put("song", chunked(DATA))
    async with faulty_link(minio_server.endpoint) as link:
        async with open_minio(behind(link, settings, **IMPATIENT)) as store:
            assert await store.size_bytes("song") == len(DATA)
            link.requests = withheld
            async with asyncio.timeout(PATIENCE_S):
                for work in (
                    store.put("other", chunked(DATA)),
                    store.put("small", chunked(b"small")),
                    store.size_bytes("song"),
                    content(store, "song"),
                    store.delete_prefix("song"),
                ):
                    with pytest.raises(StorageError):
                        await work


async def test_a_connection_that_is_cut_is_made_again(
    minio_server: RunningMinio, settings: S3Settings
) -> None:
    async with faulty_link(minio_server.endpoint) as link:
        async with open_minio(behind(link, settings)) as store:
            await store.put("song", chunked(DATA))

            async def cut_once(data: bytes) -> bytes:
                link.requests = link.answers = unharmed
                return await cut(data)

            link.requests = cut_once
            assert (await store.put("other", chunked(DATA))).size_bytes == len(DATA)
            link.answers = cut_once
            assert await content(store, "song") == DATA


async def test_what_is_spoiled_on_its_way_is_refused(
    minio_server: RunningMinio, settings: S3Settings
) -> None:
    async def spoiled(data: bytes) -> bytes:
        return data.replace(b"\x10\x11\x12\x13", b"\x10\x11\x12\x12")

    before = incomplete_uploads(minio_server)
    async with faulty_link(minio_server.endpoint) as link:
        async with open_minio(behind(link, settings)) as store:
            link.requests = spoiled
            for key, data in (("large", DATA), ("small", DATA[:1000])):
                with pytest.raises(StorageError):
                    await store.put(key, chunked(data))
            link.requests = unharmed
            for key in ("large", "small"):
                with pytest.raises(ObjectMissing):
                    await store.size_bytes(key)
    assert incomplete_uploads(minio_server) == before


async def test_an_upload_whose_last_answer_got_lost_is_found(
    minio_server: RunningMinio, settings: S3Settings
) -> None:
    completing = asyncio.Event()

    async def watch(data: bytes) -> bytes:
        if b"<CompleteMultipartUpload" in data:
            completing.set()
        return data

    async def lose_one(data: bytes) -> bytes:
        if completing.is_set():
            link.requests = link.answers = unharmed
            return await cut(data)
        return data

    async with faulty_link(minio_server.endpoint) as link:
        async with open_minio(behind(link, settings)) as store:
            link.requests, link.answers = watch, lose_one
            stored = await store.put("song", chunked(DATA))
            assert stored.size_bytes == len(DATA)
            assert await content(store, "song") == DATA
    assert completing.is_set()


async def test_a_part_may_take_longer_than_a_connection_may(
    minio_server: RunningMinio, settings: S3Settings
) -> None:
    async def slowly(data: bytes) -> bytes:
        await asyncio.sleep(0.02)
        return data

    part_bytes = 12 << 20
    assert part_bytes / BUFFER_BYTES * 0.02 > 3 * 0.5
    async with faulty_link(minio_server.endpoint) as link:
        link.requests = slowly
        patience = {"connect_timeout_s": 0.5, "retries": 0, "part_bytes": part_bytes}
        async with open_minio(behind(link, settings, **patience)) as store:
            assert (await store.put("song", chunked(DATA))).size_bytes == len(DATA)


async def test_it_opens_while_the_server_is_away_and_makes_its_bucket_later(
    tmp_path: Path,
) -> None:
    async with running_minio(tmp_path) as server:
        await server.stop()
        # A closed port refuses at once, and an open one may be slow.
        impatient = IMPATIENT | {"read_timeout_s": 10.0}
        async with open_minio(bucket_of(server, **impatient)) as store:
            with pytest.raises(StorageError):
                await store.size_bytes("song")
            with pytest.raises(StorageError):
                await store.put("song", chunked(DATA))
            await server.start()
            await answering(store)
            await store.put("song", chunked(DATA))
            await server.stop()
            with pytest.raises(StorageError):
                await content(store, "song")
            await server.start()
            await answering(store)
            assert await content(store, "song") == DATA


async def test_a_store_that_is_silent_from_the_start_is_asked_for_all_at_once(
    settings: S3Settings,
) -> None:
    async with faulty_link(settings.endpoint) as link:
        link.answers = withheld
        async with open_minio(behind(link, settings, **IMPATIENT)) as store:
            asked = [store.size_bytes("a") for _ in range(8)]
            refusals = await asyncio.gather(*asked, return_exceptions=True)
        assert all(isinstance(refusal, StorageError) for refusal in refusals)
        assert link.connections == 1 + IMPATIENT["retries"]


async def test_a_bucket_that_vanished_is_no_missing_object(
    minio_server: RunningMinio, settings: S3Settings
) -> None:
    async with open_minio(settings) as store:
        with pytest.raises(ObjectMissing):
            await store.size_bytes("song")
        plain_client(minio_server).remove_bucket(settings.bucket)
        with pytest.raises(StorageError):
            await store.size_bytes("song")
        await store.put("song", chunked(b"made again"))
        assert await content(store, "song") == b"made again"


async def test_a_bucket_is_only_made_where_that_is_wanted(
    minio_server: RunningMinio, settings: S3Settings
) -> None:
    async with open_minio(settings.model_copy(update={"create_bucket": False})) as store:
        with pytest.raises(StorageError, match=settings.bucket):
            await store.put("song", chunked(b"x"))
    assert not plain_client(minio_server).bucket_exists(settings.bucket)


async def test_wrong_keys_are_refused(settings: S3Settings) -> None:
    wrong = {"secret_key": settings.access_key}
    async with open_minio(settings.model_copy(update=wrong)) as store:
        with pytest.raises(StorageError):
            await store.put("song", chunked(b"x"))


async def test_a_key_read_while_it_is_replaced_is_never_a_mixture(settings: S3Settings) -> None:
    async with open_minio(settings) as store:
        await store.put("song", chunked(DATA))
        reading = store.read("song")
        assert DATA.startswith(await anext(reading))
        await store.put("song", chunked(DATA[::-1]))
        with pytest.raises(StorageError):
            async for _chunk in reading:
                pass


async def test_a_bucket_gets_its_rules_but_foreign_ones_stay(
    minio_server: RunningMinio, settings: S3Settings
) -> None:
    client = plain_client(minio_server)
    async with open_minio(settings) as store:
        await store.put("song", chunked(b"x"))
    present = client.get_bucket_lifecycle(settings.bucket)
    assert present is not None
    assert [rule.rule_id for rule in present.rules] == [
        rule.rule_id for rule in rules_of(settings.lifecycle)
    ]
    foreign = LifecycleConfig(
        [Rule(ENABLED, Filter(prefix="theirs/"), "theirs", expiration=Expiration(days=3))]
    )
    client.set_bucket_lifecycle(settings.bucket, foreign)
    async with open_minio(settings) as store:
        await store.put("song", chunked(b"x"))
    present = client.get_bucket_lifecycle(settings.bucket)
    assert present is not None
    assert [rule.rule_id for rule in present.rules] == ["theirs"]


async def test_a_presigned_address_gives_one_object_to_anybody(settings: S3Settings) -> None:
    async with open_minio(settings) as store:
        await store.put("song", chunked(DATA))
        await store.put("other", chunked(b"other"))
        address = store.presigned_url(
            "song",
            content_disposition='attachment; filename="song.wav"',
            content_type="audio/wav",
            expires_s=60,
        )
    async with httpx.AsyncClient() as http:
        whole = await http.get(address)
        assert (whole.status_code, whole.content) == (200, DATA)
        assert whole.headers["Content-Type"] == "audio/wav"
        assert whole.headers["Content-Disposition"] == 'attachment; filename="song.wav"'
        span = await http.get(address, headers={"Range": "bytes=5-9"})
        assert (span.status_code, span.content) == (206, DATA[5:10])
        assert (await http.get(address.replace("/song?", "/other?"))).status_code == 403
        assert (await http.put(address, content=b"x")).status_code == 403
        assert (await http.get(address.replace("Expires=60", "Expires=6000"))).status_code == 403


async def test_a_store_with_tls_is_trusted_by_its_own_authority_alone(tmp_path: Path) -> None:
    async with running_minio(tmp_path, tls=True) as server:
        settings = bucket_of(server, part_bytes=PART_BYTES)
        async with open_minio(settings) as store:
            await answering(store)
            await store.put("song", chunked(DATA))
            assert await content(store, "song") == DATA
        async with open_minio(settings.model_copy(update={"ca_file": None})) as store:
            with pytest.raises(StorageError, match="certificate"):
                await store.size_bytes("song")


async def test_a_virtual_host_is_served_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINIO_DOMAIN", "localhost")
    async with running_minio(tmp_path) as server:
        settings = bucket_of(server)
        async with open_minio(settings) as store:
            await answering(store)
            await store.put("song", chunked(DATA))
        port = server.endpoint.rpartition(":")[2]
        update = {"public_endpoint": f"http://localhost:{port}", "addressing": "virtual"}
        async with open_minio(settings.model_copy(update=update)) as store:
            address = store.presigned_url(
                "song", content_disposition="inline", content_type="audio/wav", expires_s=60
            )
        host = f"{settings.bucket}.localhost:{port}"
        assert address.startswith(f"http://{host}/song?")
        async with httpx.AsyncClient() as http:
            # The name of the bucket's host is for a resolver of theirs.
            there = address.replace(host, f"127.0.0.1:{port}")
            answer = await http.get(there, headers={"Host": host})
        assert (answer.status_code, answer.content) == (200, DATA)


async def test_the_server_removes_uploads_that_nobody_completed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINIO_API_STALE_UPLOADS_EXPIRY", "5s")
    monkeypatch.setenv("MINIO_API_STALE_UPLOADS_CLEANUP_INTERVAL", "1s")
    async with running_minio(tmp_path) as server:
        settings = bucket_of(server)
        async with open_minio(settings) as store:
            await answering(store)
        bucket = Bucket(settings, endpoint=settings.endpoint)
        upload_id = bucket.begin_upload("lost")
        bucket.put_part("lost", DATA, upload_id=upload_id, number=1)
        assert len(incomplete_uploads(server)) == 1
        bucket.close()

        async def are_gone() -> bool:
            return not incomplete_uploads(server)

        await until(are_gone, timeout_s=PATIENCE_S)


async def test_nothing_answers_on_a_closed_port() -> None:
    (port,) = free_ports(1)
    settings = S3Settings.model_validate(
        {"endpoint": f"http://127.0.0.1:{port}", "access_key": "a", "secret_key": "b" * 8}
        | IMPATIENT
    )
    async with open_minio(settings) as store:
        with pytest.raises(StorageError):
            await store.delete_prefix("a/")
