"""Scratch space: a folder per worker and run; what dead workers left is removed at the start."""

import asyncio
import contextlib
import fcntl
import shutil
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

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
    folder.mkdir()
    try:
        with (folder / LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield Scratch(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_abandoned(root: Path) -> None:
    """Remove folders whose lock nobody holds: their workers are dead."""
    for lock_path in root.glob(f"*/{LOCK}"):
        with contextlib.suppress(OSError), lock_path.open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock_path.parent, ignore_errors=True)
