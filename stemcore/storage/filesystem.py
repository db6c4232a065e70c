"""Objects as files below a directory: the one-machine stack's store."""

import asyncio
import errno
import hashlib
import os
import stat
from collections.abc import AsyncIterable, AsyncIterator, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from stemcore.storage.keys import key_parts
from stemcore.storage.partials import partial_file, remove_abandoned
from stemcore.storage.port import ObjectMissing, StorageError, StoredObject
from stemcore.tasks import to_its_end

CHUNK_BYTES = 1 << 20
_PARTIAL = ".partial"
_REVEAL_ATTEMPTS = 5
_NO_SUCH_FILE = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR)


class FilesystemStore:
    """An ObjectStore whose objects appear by rename, after their bytes are on the disk."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    async def put(self, key: str, chunks: AsyncIterable[bytes]) -> StoredObject:
        """Store the chunks under `key`; a put that fails or is cancelled before it moves the whole
        file into its place leaves nothing, a later cancellation waits for the object."""
        target = self._path(key)
        digest = hashlib.sha256()
        with _translated():
            await asyncio.to_thread(_make_directory, self._partials)
            with partial_file(self._partials) as (file, partial):
                async for chunk in chunks:
                    digest.update(chunk)
                    await asyncio.to_thread(file.write, chunk)
                size = file.tell()
                await asyncio.to_thread(_flush, file.fileno(), file)
                await to_its_end(asyncio.to_thread(_reveal, partial, target))
        return StoredObject(key=key, size_bytes=size, sha256=digest.hexdigest())

    async def read(
        self, key: str, *, start: int = 0, stop: int | None = None
    ) -> AsyncIterator[bytes]:
        """The bytes [start, stop) in chunks."""
        with _translated():
            with _missing(key, root=self._root):
                file = self._path(key).open("rb")
            with file:
                file.seek(start)
                left = (stop if stop is not None else os.fstat(file.fileno()).st_size) - start
                while left > 0:
                    chunk = await asyncio.to_thread(file.read, min(CHUNK_BYTES, left))
                    if not chunk:
                        return
                    left -= len(chunk)
                    yield chunk

    async def size_bytes(self, key: str) -> int:
        """The object's size."""
        with _translated(), _missing(key, root=self._root):
            return _size_bytes(self._path(key))

    async def delete_prefix(self, prefix: str) -> int:
        """Delete every object whose key starts with `prefix`, and the folders left empty.

        What killed processes were writing goes with it, whatever its key would have been.
        """
        self._path(prefix.rstrip("/"))
        with _translated():
            await asyncio.to_thread(remove_abandoned, self._partials)
            return await asyncio.to_thread(self._delete_prefix, prefix)

    def _delete_prefix(self, prefix: str) -> int:
        folder = self._root / prefix.rpartition("/")[0]
        doomed = [
            path
            for path in folder.rglob("*")
            if path.is_file() and path.relative_to(self._root).as_posix().startswith(prefix)
        ]
        for path in doomed:
            path.unlink(missing_ok=True)
        for path in doomed:
            _remove_empty_folders(path.parent, self._root)
        return len(doomed)

    def local_path(self, key: str) -> Path:
        """Where the object of `key` lies on this machine, for programs that read files."""
        return self._path(key)

    @property
    def _partials(self) -> Path:
        return self._root / _PARTIAL

    def _path(self, key: str) -> Path:
        parts = key_parts(key)
        if _PARTIAL in parts:
            raise ValueError(f"not an object key: {key!r}")
        return self._root.joinpath(*parts)


def _size_bytes(path: Path) -> int:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, "not an object", str(path))
    return status.st_size


def _flush(descriptor: int, file: object) -> None:
    file.flush()  # type: ignore[attr-defined]
    os.fsync(descriptor)


def _make_directory(path: Path) -> None:
    """Make `path` and its parents durably: a new name is safe when its folder is on the disk."""
    if path.is_dir():
        return
    _make_directory(path.parent)
    path.mkdir(exist_ok=True)
    _flush_directory(path.parent)


def _reveal(partial: Path, target: Path) -> None:
    # A deletion beside us may take the still empty folder away.
    for _ in range(_REVEAL_ATTEMPTS - 1):
        with suppress(FileNotFoundError):
            _move(partial, target)
            return
    _move(partial, target)


def _move(partial: Path, target: Path) -> None:
    _make_directory(target.parent)
    partial.rename(target)
    _flush_directory(target.parent)


def _flush_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_empty_folders(folder: Path, root: Path) -> None:
    while folder != root:
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent


@contextmanager
def _missing(key: str, *, root: Path) -> Generator[None]:
    """Folders, and what would lie below a file, are no objects; a root that is none is no store."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_SUCH_FILE or (root.exists() and not root.is_dir()):
            raise
        raise ObjectMissing(key) from error


@contextmanager
def _translated() -> Generator[None]:
    try:
        yield
    except ObjectMissing:
        raise
    except OSError as error:
        raise StorageError(str(error)) from error
