"""A filter over system calls: what decoding takes, and nothing else.

Bound by hand, in two calls, because the bindings there are need libseccomp from the system. The
filter is a list of what is allowed: reading and writing of descriptors already held, memory,
locks, clocks and the end. Whatever opens, connects, starts, signals or inspects is answered EPERM.
"""

import ctypes
import platform
import struct
from collections.abc import Sequence

# Of x86-64, from the kernel's unistd_64.h.
_ALLOWED = {
    "read": 0,
    "write": 1,
    "close": 3,
    "lseek": 8,
    "munmap": 11,
    "brk": 12,
    "rt_sigaction": 13,
    "rt_sigprocmask": 14,
    "rt_sigreturn": 15,
    "pread64": 17,
    "readv": 19,
    "writev": 20,
    "sched_yield": 24,
    "mremap": 25,
    "madvise": 28,
    "getpid": 39,
    "recvmsg": 47,
    "exit": 60,
    "gettimeofday": 96,
    "sysinfo": 99,
    "gettid": 186,
    "futex": 202,
    "sched_getaffinity": 204,
    "restart_syscall": 219,
    "clock_gettime": 228,
    "exit_group": 231,
    "getrandom": 318,
}
# Allowed unless they ask for memory that can be executed.
_MAPPING = {"mmap": 9, "mprotect": 10}
_SECCOMP = 317

_PROT_EXEC = 4
_EPERM = 1
_AUDIT_ARCH_X86_64 = 0xC000003E
_SET_MODE_FILTER = 1
_FLAG_TSYNC = 1

_RET_KILL_PROCESS = 0x80000000
_RET_ERRNO = 0x00050000
_RET_ALLOW = 0x7FFF0000

_LOAD, _JUMP_EQUAL, _JUMP_SET, _RETURN = 0x20, 0x15, 0x45, 0x06
# Offsets in struct seccomp_data.
_NUMBER, _ARCHITECTURE, _THIRD_ARGUMENT = 0, 4, 32

Instruction = tuple[int, int, int, int]


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def install() -> None:
    """Filter this process for good; needs no_new_privs. Raises OSError where it cannot be."""
    if platform.machine() != "x86_64":
        raise OSError(0, "the filter knows the system calls of x86-64 alone")
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in program())
    wanted = _Program(length=len(code) // 8, filter=code)
    libc = ctypes.CDLL(None, use_errno=True)
    # All threads at once, in case a library has started one.
    failed = libc.syscall(_SECCOMP, _SET_MODE_FILTER, _FLAG_TSYNC, ctypes.byref(wanted))
    if failed:
        raise OSError(ctypes.get_errno(), "seccomp was refused")


def program() -> Sequence[Instruction]:
    """The filter as instructions of classic BPF: (code, jump if true, if false, operand)."""
    refuse = (_RETURN, 0, 0, _RET_ERRNO | _EPERM)
    allow = (_RETURN, 0, 0, _RET_ALLOW)
    instructions: list[Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_JUMP_EQUAL, 1, 0, _AUDIT_ARCH_X86_64),
        (_RETURN, 0, 0, _RET_KILL_PROCESS),
        (_LOAD, 0, 0, _NUMBER),
    ]
    for number in _ALLOWED.values():
        instructions += [(_JUMP_EQUAL, 0, 1, number), allow]
    for number in _MAPPING.values():
        instructions += [
            (_JUMP_EQUAL, 0, 4, number),
            (_LOAD, 0, 0, _THIRD_ARGUMENT),
            (_JUMP_SET, 0, 1, _PROT_EXEC),
            refuse,
            allow,
        ]
    return [*instructions, refuse]
