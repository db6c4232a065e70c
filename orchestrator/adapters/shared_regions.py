"""Blocks of POSIX shared memory whose makers can be told from the dead."""

import fcntl
import mmap
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Self
from uuid import uuid4

import numpy as np
from numpy.typing import DTypeLike, NDArray

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - POSIX shared memory, not a scratch folder
PREFIX = "stemyard-client-"


class SharedRegion:
    """A block of memory that another process may map by its name.

    Its maker holds a lock on it, which the kernel gives back whatever the maker dies of, and in
    whatever container. Nobody guesses the name: a server elsewhere cannot take another machine's
    region for ours.
    """

    def __init__(self, path: Path, descriptor: int, size_bytes: int) -> None:
        self.name = path.name
        self.size_bytes = size_bytes
        self._path = path
        self._descriptor = descriptor
        self._memory = mmap.mmap(descriptor, size_bytes)

    @classmethod
    def make(cls, size_bytes: int, *, directory: Path = SHARED_MEMORY) -> Self:
        """Raises OSError when there is no room, now rather than by a signal at the first write."""
        path = directory / f"{PREFIX}{os.getpid()}-{uuid4().hex}"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            os.posix_fallocate(descriptor, 0, size_bytes)
            return cls(path, descriptor, size_bytes)
        except BaseException:
            path.unlink(missing_ok=True)
            os.close(descriptor)
            raise

    def array(
        self, shape: Sequence[int], dtype: DTypeLike, *, offset_bytes: int = 0
    ) -> NDArray[np.generic]:
        """A view; the region cannot be closed while there is one."""
        return np.ndarray(shape, dtype, buffer=self._memory, offset=offset_bytes)

    def close(self) -> None:
        """Take the name away and give up the memory; whoever has it mapped keeps it."""
        self._path.unlink(missing_ok=True)
        self._memory.close()
        os.close(self._descriptor)


def is_abandoned(name: str, directory: Path = SHARED_MEMORY) -> bool:
    """Whether this is the name of a region of which the name is all that is left."""
    return name.startswith(PREFIX) and not (directory / name).exists()


def remove_stale_regions(directory: Path = SHARED_MEMORY) -> tuple[str, ...]:
    """Delete regions whose makers are gone; returns their names."""
    return tuple(path.name for path in directory.glob(f"{PREFIX}*") if _removed_if_stale(path))


def _removed_if_stale(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDWR)
    except (FileNotFoundError, PermissionError):
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        path.unlink(missing_ok=True)
        return True
    finally:
        os.close(descriptor)
