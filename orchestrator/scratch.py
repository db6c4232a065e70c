"""Scratch space: a folder per worker and run; what dead workers left is removed at the start."""

import asyncio
import contextlib
import fcntl
import os
import shutil
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO

from stemcore.errors import ErrorCode, Unavailable

LOCK = "lock"


class Scratch:
    """A worker's own folder below the common root."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @asynccontextmanager
    async def run_folder(self, name: str) -> AsyncGenerator[Path]:
        """A fresh folder, removed with all it holds."""
        folder = self._folder / name
        folder.mkdir()
        try:
            yield folder
        finally:
            await asyncio.shield(asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True))

    def require(self, needed_bytes: int) -> None:
        """Raises Unavailable when the disk cannot take that much."""
        free_bytes = shutil.disk_usage(self._folder).free
        if free_bytes < needed_bytes:
            raise Unavailable(
                ErrorCode.SCRATCH_FULL,
                "The scratch disk has no room for this job now.",
                details={"needed_bytes": needed_bytes, "free_bytes": free_bytes},
            )


@contextmanager
def open_scratch(root: Path, *, worker: str) -> Generator[Scratch]:
    """The worker's folder, locked for as long as it lives."""
    root.mkdir(parents=True, exist_ok=True)
    remove_abandoned(root)
    folder = root / worker
    try:
        with _lock(folder):
            yield Scratch(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _lock(folder: Path) -> IO[str]:
    """Make the folder and lock it; again, when another worker just took it for a dead one's."""
    while True:
        folder.mkdir(exist_ok=True)
        try:
            lock = (folder / LOCK).open("w")
        except FileNotFoundError:
            continue
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _is_there(folder / LOCK, lock.fileno()):
            return lock
        lock.close()


def _is_there(path: Path, descriptor: int) -> bool:
    """Whether the open file is still the one of that name."""
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    return False


def remove_abandoned(root: Path) -> None:
    """Remove folders whose lock nobody holds: their workers are dead."""
    for lock_path in root.glob(f"*/{LOCK}"):
        with contextlib.suppress(OSError), lock_path.open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock_path.parent, ignore_errors=True)
