"""The directory a stack runs from: locked while it runs, its logs kept when something failed."""

import fcntl
import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from stemyard.stack.errors import RuntimeInUse


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeDirectory:
    """Where everything of one stack lies."""

    root: Path

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def database(self) -> Path:
        return self.root / "postgresql"

    @property
    def objects(self) -> Path:
        return self.root / "objects"

    @property
    def scratch(self) -> Path:
        return self.root / "scratch"

    @property
    def probed(self) -> Path:
        """Where gateways keep songs while they look into them."""
        return self.root / "probed"

    @property
    def serving(self) -> Path:
        return self.root / "serving"

    @property
    def kafka(self) -> Path:
        return self.root / "kafka"

    @property
    def minio(self) -> Path:
        return self.root / "minio"


@contextmanager
def locked(root: Path) -> Generator[RuntimeDirectory]:
    """Holds the directory for this process; raises RuntimeInUse when another one does."""
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    runtime = RuntimeDirectory(root=root.resolve())
    folders = (runtime.logs, runtime.objects, runtime.scratch, runtime.probed, runtime.serving)
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    with _lock_file(root).open("w") as lock:
        if not _locks(lock):
            raise RuntimeInUse(f"a stack runs from {root} already: stop it first.")
        yield runtime


@contextmanager
def throw_away(parent: Path) -> Generator[RuntimeDirectory]:
    """A directory of its own, removed at the end; after a failure it stays until the next run."""
    for old in parent.glob("run-*"):
        _remove_unless_locked(old)
    with locked(parent / f"run-{os.getpid()}") as runtime:
        try:
            yield runtime
        except Exception:
            raise
        except BaseException:
            # Interrupted is not failed: nobody will read the logs.
            shutil.rmtree(runtime.root, ignore_errors=True)
            raise
        shutil.rmtree(runtime.root, ignore_errors=True)


def _remove_unless_locked(root: Path) -> None:
    with suppress(FileNotFoundError), _lock_file(root).open("r") as lock:
        if not _locks(lock):
            return
    shutil.rmtree(root, ignore_errors=True)


def _lock_file(root: Path) -> Path:
    return root / "lock"


def _locks(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
