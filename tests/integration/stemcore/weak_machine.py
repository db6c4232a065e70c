"""Runs a program as on a machine that allows neither seccomp nor Landlock: `weak_machine.py ...`.

A filter of its own, which the program inherits, answers EPERM to both.
"""

import ctypes
import os
import struct
import sys

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, FILTER = 38, 22, 2
SECCOMP, LANDLOCK = 317, 444
ALLOW, REFUSE = 0x7FFF0000, 0x00050001

PROGRAM = (
    (0x20, 0, 0, 0),
    (0x15, 1, 0, SECCOMP),
    (0x15, 0, 1, LANDLOCK),
    (0x06, 0, 0, REFUSE),
    (0x06, 0, 0, ALLOW),
)


class Filter(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


if __name__ == "__main__":
    libc = ctypes.CDLL(None, use_errno=True)
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in PROGRAM)
    wanted = Filter(length=len(PROGRAM), filter=code)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "no_new_privs")
    if libc.prctl(PR_SET_SECCOMP, FILTER, ctypes.byref(wanted), 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp")
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])  # noqa: S606
