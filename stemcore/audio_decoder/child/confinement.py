"""What a decoder process gives up, for good, once its libraries are loaded.

Each step is tried; what then holds is found by `trials`, so a kernel or a container that refuses
one of them is told from one that does not.
"""

import contextlib
import ctypes
import os
import resource
import signal
import struct
from collections.abc import Mapping

import landlock
import seccomp
import trials

OPEN_FILES = 16
NOBODY = 65534

_CAPABILITY_VERSION_3 = 0x20080522
_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38


def confine(*, parent: int, address_space_bytes: int, cpu_s: int) -> list[str]:
    """Confine this process; the names of the protections that were found to hold."""
    limit(
        {
            resource.RLIMIT_AS: (address_space_bytes, address_space_bytes),
            # The soft limit tells the parent why the process has ended.
            resource.RLIMIT_CPU: (cpu_s, cpu_s + 1),
            resource.RLIMIT_FSIZE: (0, 0),
            resource.RLIMIT_NOFILE: (OPEN_FILES, OPEN_FILES),
            resource.RLIMIT_NPROC: (0, 0),
            resource.RLIMIT_CORE: (0, 0),
        }
    )
    become_nobody()
    drop_capabilities()
    die_with(parent)
    held = trials.limits_that_hold(
        address_space_bytes=address_space_bytes, cpu_s=cpu_s, open_files=OPEN_FILES
    )
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    with contextlib.suppress(OSError):
        landlock.restrict()
    with contextlib.suppress(OSError):
        seccomp.install()
    return [*held, *trials.doors_that_are_shut(parent=parent)]


def limit(limits: Mapping[int, tuple[int, int]]) -> None:
    """Set limits that cannot be raised again; a lower one there is already stays."""
    for kind, (soft, hard) in limits.items():
        _, present = resource.getrlimit(kind)
        if present != resource.RLIM_INFINITY:
            soft, hard = min(soft, present), min(hard, present)  # noqa: PLW2901
        resource.setrlimit(kind, (soft, hard))


def become_nobody() -> None:
    """Root becomes a user who owns nothing; anyone else stays who they are."""
    if os.geteuid() != 0:
        return
    with contextlib.suppress(OSError):
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)


def drop_capabilities() -> None:
    """Give up what a user who is not root may have been lent."""
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    ctypes.CDLL(None).capset(header, bytes(24))


def die_with(parent: int) -> None:
    """End when the thread that started us ends; a later change of user would undo it."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl was refused")
