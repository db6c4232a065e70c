"""Landlock without a single rule: no path can be opened, no TCP port used.

Three system calls, bound by hand: the bindings there are have not had a stable release yet.
"""

import ctypes
import os
import struct

_CREATE_RULESET, _RESTRICT_SELF = 444, 446
_VERSION = 1

# How many of the rights each version of the interface knows: file system, network, scopes.
_FILE_RIGHTS = (13, 14, 15, 15, 16, 16, 16)
_NETWORK_SINCE, _NETWORK_RIGHTS = 4, 0b11
_SCOPES_SINCE, _SCOPES = 6, 0b11


def restrict() -> None:
    """Deny this process every path for good; needs no_new_privs. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_CREATE_RULESET, None, 0, _VERSION)
    if version < 1:
        raise OSError(ctypes.get_errno(), "the kernel has no Landlock")
    rights = handled(version)
    ruleset = libc.syscall(_CREATE_RULESET, rights, len(rights), 0)
    if ruleset < 0:
        raise OSError(ctypes.get_errno(), "Landlock was refused")
    try:
        if libc.syscall(_RESTRICT_SELF, ruleset, 0):
            raise OSError(ctypes.get_errno(), "Landlock was refused")
    finally:
        os.close(ruleset)


def handled(version: int) -> bytes:
    """The struct landlock_ruleset_attr that denies all that this version can deny."""
    files = (1 << _FILE_RIGHTS[min(version, len(_FILE_RIGHTS)) - 1]) - 1
    attributes = [files]
    if version >= _NETWORK_SINCE:
        attributes.append(_NETWORK_RIGHTS)
    if version >= _SCOPES_SINCE:
        attributes.append(_SCOPES)
    return struct.pack(f"={len(attributes)}Q", *attributes)
