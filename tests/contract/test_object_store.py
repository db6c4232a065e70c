"""What every object store keeps to."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from pathlib import Path
from typing import cast

import pytest

from stemcore.storage.filesystem import FilesystemStore
from stemcore.storage.memory import MemoryStore
from stemcore.storage.minio import open_minio
from stemcore.storage.port import ObjectMissing, ObjectStore
from tests.servers.buckets import bucket_of

# More than one chunk of any store, and no multiple of it.
DATA = bytes(range(256)) * 9_000 + b"end"
# Several of the parts and blocks that an S3 store sends and reads.
MANY_PARTS = bytes(range(253)) * 90_000
PART_BYTES = 5 << 20
# More than an S3 store lists or deletes at a time.
MANY = 1_100

Opening = AbstractAsyncContextManager[ObjectStore]


@pytest.fixture(params=["filesystem", "memory", "minio"])
def opening(request: pytest.FixtureRequest, tmp_path: Path) -> Opening:
    if request.param == "filesystem":
        return nullcontext(FilesystemStore(tmp_path / "root"))
    if request.param == "memory":
        return nullcontext(MemoryStore())
    server = request.getfixturevalue("minio_server")
    return open_minio(bucket_of(server, part_bytes=PART_BYTES))


@pytest.fixture
async def store(opening: Opening) -> AsyncGenerator[ObjectStore]:
    async with opening as store:
        yield store


async def chunked(data: bytes, *, size: int = 70_000) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def content(store: ObjectStore, key: str, **span: int) -> bytes:
    return b"".join([chunk async for chunk in store.read(key, **span)])


async def test_what_was_put_can_be_read(store: ObjectStore) -> None:
    stored = await store.put("a/b", chunked(DATA))
    assert stored.key == "a/b"
    assert stored.size_bytes == len(DATA)
    assert stored.sha256 == hashlib.sha256(DATA).hexdigest()
    assert await store.size_bytes("a/b") == len(DATA)
    assert await content(store, "a/b") == DATA


async def test_an_empty_object_is_an_object(store: ObjectStore) -> None:
    assert (await store.put("empty", chunked(b""))).size_bytes == 0
    assert await store.size_bytes("empty") == 0
    assert await content(store, "empty") == b""


@pytest.mark.parametrize(
    ("start", "stop"), [(0, 1), (5, 10), (1_000_000, 1_100_000), (2_000_000, len(DATA)), (7, 7)]
)
async def test_a_span_is_read_alone(store: ObjectStore, start: int, stop: int) -> None:
    await store.put("a", chunked(DATA))
    assert await content(store, "a", start=start, stop=stop) == DATA[start:stop]


async def test_a_span_ends_where_the_object_ends(store: ObjectStore) -> None:
    await store.put("a", chunked(b"0123456789"))
    assert await content(store, "a", start=8, stop=100) == b"89"
    assert await content(store, "a", start=4) == b"456789"


async def test_what_was_never_put_is_missing(store: ObjectStore) -> None:
    with pytest.raises(ObjectMissing):
        await store.size_bytes("a")
    with pytest.raises(ObjectMissing):
        await content(store, "a")


@pytest.mark.parametrize("key", ["a", "a/b/c"])
async def test_what_is_no_object_beside_one_is_missing(store: ObjectStore, key: str) -> None:
    await store.put("a/b", chunked(b"x"))
    with pytest.raises(ObjectMissing):
        await store.size_bytes(key)
    with pytest.raises(ObjectMissing):
        await content(store, key)


async def test_a_key_put_again_has_the_newer_content(store: ObjectStore) -> None:
    await store.put("a", chunked(b"old and longer"))
    await store.put("a", chunked(b"new"))
    assert await content(store, "a") == b"new"


async def test_a_source_that_fails_leaves_what_there_was(store: ObjectStore) -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield b"begun"
        raise RuntimeError("the sender is gone")

    await store.put("a", chunked(b"old"))
    for key in ("a", "b"):
        with pytest.raises(RuntimeError):
            await store.put(key, failing())
    assert await content(store, "a") == b"old"
    with pytest.raises(ObjectMissing):
        await store.size_bytes("b")


async def test_a_cancelled_put_leaves_nothing(store: ObjectStore) -> None:
    begun = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield b"begun"
        begun.set()
        await asyncio.Event().wait()

    putting = asyncio.create_task(store.put("a", endless()))
    await begun.wait()
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    with pytest.raises(ObjectMissing):
        await store.size_bytes("a")


async def test_nothing_is_seen_before_it_is_whole(store: ObjectStore) -> None:
    async def watched() -> AsyncIterator[bytes]:
        yield b"half"
        with pytest.raises(ObjectMissing):
            await store.size_bytes("a")
        yield b"half"

    await store.put("a", watched())
    assert await content(store, "a") == b"halfhalf"


async def test_a_prefix_is_deleted_and_its_neighbours_stay(store: ObjectStore) -> None:
    for key in ("jobs/1/a", "jobs/1/b/c", "jobs/10/a", "jobs/2", "other"):
        await store.put(key, chunked(b"x"))
    assert await store.delete_prefix("jobs/1/") == 2
    assert await store.delete_prefix("jobs/1/") == 0
    assert await store.delete_prefix("nothing/here") == 0
    for key in ("jobs/10/a", "jobs/2", "other"):
        assert await store.size_bytes(key) == 1
    assert await store.delete_prefix("jobs/1") == 1
    assert await store.delete_prefix("jobs/") == 1


async def test_puts_and_deletions_beside_each_other_do_not_disturb(store: ObjectStore) -> None:
    async def cycle(number: int) -> None:
        for _ in range(10):
            await store.put(f"jobs/{number}/a", chunked(b"x"))
            assert await store.delete_prefix(f"jobs/{number}/") == 1

    await asyncio.gather(*(cycle(number) for number in range(4)))


@pytest.mark.parametrize(
    "key",
    [
        *("", "/a", "a/", "a//b", "../a", "a/../b", "a/./b", "ä", "a\n"),
        *(f"a/{'x' * 256}", "/".join("x" * 513)),
    ],
)
async def test_a_key_that_leads_astray_is_refused(
    store: ObjectStore, tmp_path: Path, key: str
) -> None:
    for refused in (store.put(key, chunked(b"x")), store.size_bytes(key), content(store, key)):
        with pytest.raises(ValueError, match="not an object key"):
            await refused
    assert list(tmp_path.iterdir()) == []


async def test_a_large_object_is_the_same_all_over(store: ObjectStore) -> None:
    stored = await store.put("large", chunked(MANY_PARTS))
    assert stored.size_bytes == len(MANY_PARTS)
    assert stored.sha256 == hashlib.sha256(MANY_PARTS).hexdigest()
    assert await store.size_bytes("large") == len(MANY_PARTS)
    assert await content(store, "large") == MANY_PARTS
    across = slice(PART_BYTES - 7, 3 * PART_BYTES + 7)
    assert await content(store, "large", start=across.start, stop=across.stop) == MANY_PARTS[across]


@pytest.mark.parametrize("size", [PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES])
async def test_sizes_beside_the_bounds_of_parts(store: ObjectStore, size: int) -> None:
    data = MANY_PARTS[:size]
    assert (await store.put("a", chunked(data, size=1 << 20))).size_bytes == size
    assert await content(store, "a") == data


async def test_a_span_beyond_the_end_is_empty(store: ObjectStore) -> None:
    await store.put("a", chunked(b"0123456789"))
    assert await content(store, "a", start=10) == b""
    assert await content(store, "a", start=50, stop=60) == b""


async def test_an_empty_span_of_nothing_is_missing(store: ObjectStore) -> None:
    with pytest.raises(ObjectMissing):
        await content(store, "a", start=3, stop=3)


async def test_a_reader_may_go_in_the_middle(store: ObjectStore) -> None:
    await store.put("a", chunked(MANY_PARTS))
    for _ in range(40):
        async with aclosing(cast("AsyncGenerator[bytes]", store.read("a"))) as chunks:
            assert MANY_PARTS.startswith(await anext(chunks))
    assert await content(store, "a") == MANY_PARTS


async def test_a_large_source_that_fails_leaves_what_there_was(store: ObjectStore) -> None:
    async def failing() -> AsyncIterator[bytes]:
        async for chunk in chunked(MANY_PARTS):
            yield chunk
        raise RuntimeError("the sender is gone")

    await store.put("a", chunked(b"old"))
    for key in ("a", "b"):
        with pytest.raises(RuntimeError):
            await store.put(key, failing())
    assert await content(store, "a") == b"old"
    assert await store.delete_prefix("b") == 0


async def test_a_large_put_that_is_cancelled_leaves_nothing(store: ObjectStore) -> None:
    begun = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        async for chunk in chunked(MANY_PARTS):
            yield chunk
        begun.set()
        await asyncio.Event().wait()

    putting = asyncio.create_task(store.put("a", endless()))
    await begun.wait()
    putting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await putting
    with pytest.raises(ObjectMissing):
        await store.size_bytes("a")
    assert await store.delete_prefix("a") == 0


async def test_puts_to_one_key_leave_one_of_them_whole(store: ObjectStore) -> None:
    contents = [bytes([number]) * (PART_BYTES + number) for number in range(4)]
    await asyncio.gather(*(store.put("a", chunked(data, size=1 << 20)) for data in contents))
    assert await content(store, "a") in contents
    assert await store.delete_prefix("a") == 1


async def test_a_prefix_of_very_many_objects_is_deleted(store: ObjectStore) -> None:
    slots = asyncio.Semaphore(16)

    async def put(number: int) -> None:
        async with slots:
            await store.put(f"many/{number}", chunked(b"x"))

    await asyncio.gather(*(put(number) for number in range(MANY)))
    await store.put("many-more", chunked(b"x"))
    assert await store.delete_prefix("many/") == MANY
    assert await store.delete_prefix("many/") == 0
    assert await store.size_bytes("many-more") == 1


async def test_a_deleted_object_leaves_no_folders(tmp_path: Path) -> None:
    store = FilesystemStore(tmp_path / "root")
    await store.put("a/b/c/d", chunked(b"x"))
    await store.delete_prefix("a/")
    assert not (tmp_path / "root" / "a").exists()
