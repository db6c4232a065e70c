"""Signs of life of what runs for ever in a process, watched from another thread."""

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
from time import monotonic

EVENT_LOOP = "event_loop"

_BEAT_EVERY_S = 1.0
_LOOP_STUCK_AFTER_S = 15.0


class Heartbeats:
    """When each part has promised its next sign of life."""

    def __init__(self, *, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._due_at: dict[str, float] = {}

    def beat(self, name: str, *, within_s: float) -> None:
        """`name` lives, and will say so again within `within_s`."""
        self._due_at[name] = self._clock() + within_s

    @contextmanager
    def busy(self, name: str, *, within_s: float) -> Generator[None]:
        """`name` will have left the block within `within_s`; outside it nothing is expected."""
        self.beat(name, within_s=within_s)
        try:
            yield
        finally:
            self._due_at.pop(name, None)

    def silent(self) -> dict[str, str]:
        """Who has broken its promise, and since when."""
        now = self._clock()
        return {
            name: f"No sign of life, {now - due_at:.0f} s after it was due."
            for name, due_at in list(self._due_at.items())
            if due_at < now
        }

    async def run(self) -> None:
        """Beat for the event loop itself, until cancelled."""
        while True:
            self.beat(EVENT_LOOP, within_s=_LOOP_STUCK_AFTER_S)
            await asyncio.sleep(_BEAT_EVERY_S)
