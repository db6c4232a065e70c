"""Sources as files: in place, or as copies that nothing can leave behind."""

import asyncio
import errno
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.jobs.source_files import FetchedFiles, FilesInPlace
from stemcore.errors import ErrorCode, Unavailable
from stemcore.storage.filesystem import FilesystemStore
from stemcore.storage.memory import MemoryStore
from stemcore.storage.port import ObjectMissing, StorageError

SONG = b"a song" * 500_000


async def once(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def fetched(tmp_path: Path, *, max_bytes: int = len(SONG)) -> FetchedFiles:
    store = MemoryStore()
    await store.put("song", once(SONG))
    return FetchedFiles(store, scratch=tmp_path, max_bytes=max_bytes)


async def test_an_object_of_this_machine_is_read_where_it_lies(tmp_path: Path) -> None:
    store = FilesystemStore(tmp_path)
    await store.put("song", once(SONG))
    async with FilesInPlace(store).file("song") as path:
        assert path == tmp_path / "song"


async def test_a_copy_is_whole_and_has_no_name(tmp_path: Path) -> None:
    async with (await fetched(tmp_path)).file("song") as path:
        assert path.read_bytes() == SONG
        assert path.stat().st_size == len(SONG)
        assert list(tmp_path.iterdir()) == []
    assert not path.exists()


async def test_a_copy_is_bounded(tmp_path: Path) -> None:
    files = await fetched(tmp_path, max_bytes=len(SONG) - 1)
    with pytest.raises(StorageError):
        async with files.file("song"):
            raise AssertionError


async def test_what_is_missing_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(ObjectMissing):
        async with (await fetched(tmp_path)).file("other"):
            raise AssertionError


class Endless(MemoryStore):
    """A store whose objects never end."""

    def __init__(self) -> None:
        super().__init__()
        self.reading = asyncio.Event()

    async def read(
        self, key: str, *, start: int = 0, stop: int | None = None
    ) -> AsyncIterator[bytes]:
        async for chunk in super().read(key, start=start, stop=stop):
            yield chunk
        self.reading.set()
        await asyncio.Event().wait()


async def test_a_cancelled_copy_is_gone(tmp_path: Path) -> None:
    store = Endless()
    await store.put("song", once(SONG))
    files = FetchedFiles(store, scratch=tmp_path, max_bytes=len(SONG))

    async def copy() -> None:
        async with files.file("song"):
            raise AssertionError

    copying = asyncio.create_task(copy())
    await store.reading.wait()
    before = _nameless()
    copying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await copying
    assert len(_nameless()) == len(before) - 1


class Full(MemoryStore):
    """Fills the disk."""

    async def read(
        self, key: str, *, start: int = 0, stop: int | None = None
    ) -> AsyncIterator[bytes]:
        async for chunk in super().read(key, start=start, stop=stop):
            yield chunk
            raise OSError(errno.ENOSPC, "No space left on device")


async def test_a_full_disk_is_a_reason_to_come_again(tmp_path: Path) -> None:
    store = Full()
    await store.put("song", once(SONG))
    with pytest.raises(Unavailable) as raised:
        async with FetchedFiles(store, scratch=tmp_path, max_bytes=len(SONG)).file("song"):
            raise AssertionError
    assert raised.value.code is ErrorCode.SCRATCH_FULL


def _nameless() -> list[Path]:
    """Open files of this process that have no name any more."""
    found: list[Path] = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            target = link.readlink()
        except FileNotFoundError:
            continue
        if target.name.endswith("(deleted)"):
            found.append(target)
    return found
