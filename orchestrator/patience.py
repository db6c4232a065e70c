"""Waiting for what may still come, without waiting for the same thing twice."""

from collections.abc import Callable
from time import monotonic

# An absence is forgotten, so that a later one is waited for again.
_FORGOTTEN_AFTER_S = 600.0
_MAX_NAMES = 1000


class Patience:
    """Each name is waited for `length_s` from when it was first missed: many who ask for what never
    comes are kept waiting no longer than one."""

    def __init__(self, *, length_s: float, clock: Callable[[], float] = monotonic) -> None:
        self._length_s = length_s
        self._clock = clock
        self._missed_at: dict[str, float] = {}

    def lasts(self, name: str) -> bool:
        """Whether what is missing now may still be waited for."""
        now = self._clock()
        self._forget_before(now - self._length_s - _FORGOTTEN_AFTER_S)
        return now - self._missed_at.setdefault(name, now) < self._length_s

    def found(self, name: str) -> None:
        """It is there: should it be missed again, it is waited for again."""
        self._missed_at.pop(name, None)

    def _forget_before(self, oldest: float) -> None:
        """Names stand in the order in which they were first missed."""
        for name, missed_at in list(self._missed_at.items()):
            if missed_at >= oldest and len(self._missed_at) < _MAX_NAMES:
                return
            del self._missed_at[name]
