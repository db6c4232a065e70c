"""Shared memory of the python backend: named after its server, so that leftovers can be told."""

import os
from pathlib import Path

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - POSIX shared memory, not a scratch folder


def region_prefix(pid: int) -> str:
    """A process id alone could be another container's, where /dev/shm is shared between them."""
    return f"stemyard-{_pid_namespace()}-{pid}-"


def remove_stale_regions(directory: Path = SHARED_MEMORY) -> tuple[str, ...]:
    """Deletes regions whose server is gone (killed, so it could not), and those of this pid.

    Call it before the server starts. Returns the names of the removed regions.
    """
    removed: list[str] = []
    for region in directory.glob(f"stemyard-{_pid_namespace()}-*"):
        pid = int(region.name.split("-")[2])
        if pid == os.getpid() or not Path(f"/proc/{pid}").exists():
            region.unlink(missing_ok=True)
            removed.append(region.name)
    return tuple(removed)


def _pid_namespace() -> int:
    return Path("/proc/self/ns/pid").stat().st_ino
