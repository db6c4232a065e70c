"""What every object store keeps to."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from stemcore.storage.filesystem import FilesystemStore
from stemcore.storage.memory import MemoryStore
from stemcore.storage.port import ObjectMissing, ObjectStore

# More than one chunk of either store, and no multiple of it.
DATA = bytes(range(256)) * 9_000 + b"end"

MAKERS: dict[str, Callable[[Path], ObjectStore]] = {
    "filesystem": FilesystemStore,
    "memory": lambda _: MemoryStore(),
}


@pytest.fixture(params=MAKERS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    return MAKERS[request.param](tmp_path / "root")


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


@pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", "../a", "a/../b", "a/./b", "ä"])
async def test_a_key_that_leads_astray_is_refused(tmp_path: Path, key: str) -> None:
    store = FilesystemStore(tmp_path / "root")
    with pytest.raises(ValueError, match="not an object key"):
        await store.put(key, chunked(b"x"))
    with pytest.raises(ValueError, match="not an object key"):
        await store.size_bytes(key)
    assert list(tmp_path.iterdir()) == []


async def test_a_deleted_object_leaves_no_folders(tmp_path: Path) -> None:
    store = FilesystemStore(tmp_path / "root")
    await store.put("a/b/c/d", chunked(b"x"))
    await store.delete_prefix("a/")
    assert not (tmp_path / "root" / "a").exists()
