"""Which protections hold, found by trying what each one forbids."""

import mmap
import os
import resource
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path


def limits_that_hold(*, address_space_bytes: int, cpu_s: int, open_files: int) -> list[str]:
    """Those of the limits; tried before the doors are shut, which would hide them."""
    return _refused(
        {
            "memory": lambda: mmap.mmap(-1, address_space_bytes).close(),
            "processor_time": lambda: _unless(0 <= _processor_limit_s() <= cpu_s),
            "file_size": _write_a_file,
            "descriptors": lambda: _hold(open_files + 1),
            "privileges": lambda: _unless(os.geteuid() != 0 and not _capabilities()),
        }
    )


def doors_that_are_shut(*, parent: int) -> list[str]:
    """Those that keep this process from anything but the descriptors it holds."""
    return _refused(
        {
            "files": lambda: os.close(os.open("/", os.O_RDONLY)),
            "sockets": _open_a_socket,
            "programs": _run_a_program,
            "signals": lambda: os.kill(parent, 0),
        }
    )


def _refused(attempts: Mapping[str, Callable[[], None]]) -> list[str]:
    return [name for name, attempt in attempts.items() if not _succeeds(attempt)]


def _succeeds(attempt: Callable[[], None]) -> bool:
    try:
        attempt()
    except (OSError, MemoryError):
        return False
    return True


def _unless(limited: bool) -> None:
    if limited:
        raise OSError


def _processor_limit_s() -> int:
    return resource.getrlimit(resource.RLIMIT_CPU)[0]


def _capabilities() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("CapEff:")[2].split()[0], 16)


def _write_a_file() -> None:
    descriptor = os.memfd_create("trial")
    try:
        os.write(descriptor, b"x")
    finally:
        os.close(descriptor)


def _hold(count: int) -> None:
    held: list[int] = []
    try:
        while len(held) < count:
            held.append(os.dup(0))
    finally:
        for descriptor in held:
            os.close(descriptor)


def _open_a_socket() -> None:
    for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX):
        try:
            socket.socket(family, socket.SOCK_DGRAM).close()
        except OSError:
            continue
        return
    raise OSError


def _run_a_program() -> None:
    child = os.posix_spawn(sys.executable, [sys.executable, "-I", "-S", "-c", ""], {})
    os.waitpid(child, 0)
