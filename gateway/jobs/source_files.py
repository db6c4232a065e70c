"""A stored source as a file on this machine, for programs that read files."""

import asyncio
import tempfile
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from stemcore.scratch import scratch_errors
from stemcore.storage.filesystem import FilesystemStore
from stemcore.storage.port import ObjectStore, StorageError


class SourceFiles(Protocol):
    """Gives stored sources as files."""

    def file(self, key: str) -> AbstractAsyncContextManager[Path]:
        """A file to read within the context; raises ObjectMissing, StorageError, Unavailable."""
        ...


class FilesInPlace:
    """SourceFiles of a store on this machine."""

    def __init__(self, store: FilesystemStore) -> None:
        self._store = store

    @asynccontextmanager
    async def file(self, key: str) -> AsyncGenerator[Path]:
        """The object itself."""
        yield self._store.local_path(key)


class FetchedFiles:
    """SourceFiles of a store elsewhere: copies without a name, which nothing can leave behind."""

    def __init__(self, store: ObjectStore, *, scratch: Path, max_bytes: int) -> None:
        self._store = store
        self._scratch = scratch
        self._max_bytes = max_bytes

    @asynccontextmanager
    async def file(self, key: str) -> AsyncGenerator[Path]:
        """A copy, of `max_bytes` at most; the kernel frees it even if this process is killed."""
        with scratch_errors(), tempfile.TemporaryFile(dir=self._scratch) as copy:
            await self._fetch(key, copy)
            yield Path(f"/proc/self/fd/{copy.fileno()}")

    async def _fetch(self, key: str, copy: BinaryIO) -> None:
        left = self._max_bytes
        async for chunk in self._store.read(key):
            left -= len(chunk)
            if left < 0:
                raise StorageError(f"{key} is larger than what was stored")
            await asyncio.to_thread(copy.write, chunk)
        await asyncio.to_thread(copy.flush)
