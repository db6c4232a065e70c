"""Errors that only a door has; the shared tree is stemcore.errors.

StemyardError
├── Unauthenticated   no valid proof of who is calling: sign in again
└── LimitReached      the caller has too much under way: wait, then repeat
"""

from stemcore.errors import StemyardError


class Unauthenticated(StemyardError):
    """Nothing valid proves who is calling."""


class LimitReached(StemyardError):
    """The caller is at a limit; the same call may succeed after `retry_after_s`."""

    retry_after_s = 30
