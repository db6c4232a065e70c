"""Files on their way into a store: locked while they are written, so that the dead are known."""

import fcntl
import secrets
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


@contextmanager
def partial_file(folder: Path) -> Generator[tuple[BinaryIO, Path]]:
    """A new file in `folder`; removed at the end, unless it has been moved away."""
    file, path = _created(folder)
    try:
        with file:
            yield file, path
    finally:
        path.unlink(missing_ok=True)


def remove_abandoned(folder: Path) -> None:
    """Remove what nobody writes any more."""
    for path in folder.glob("*"):
        with suppress(OSError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()


def _created(folder: Path) -> tuple[BinaryIO, Path]:
    while True:
        path = folder / secrets.token_hex(16)
        file = path.open("xb")
        fcntl.flock(file, fcntl.LOCK_EX)
        if path.exists():
            return file, path
        # Somebody took it for a dead writer's before it was locked.
        file.close()
