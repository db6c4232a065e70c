"""Who watches runs without taking part in them: spans, figures, ids for log lines."""

from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from enum import StrEnum
from typing import Protocol

from orchestrator.claims import Claim


class Stage(StrEnum):
    """The stretches of a run; storing begins beside separating."""

    FETCH = "fetch"
    DECODE = "decode"
    SEPARATE = "separate"
    STORE = "store"


class Ending(StrEnum):
    """How a run ended for the worker that had it."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    BACKED_OFF = "backed_off"
    GIVEN_BACK = "given_back"
    LOST = "lost"
    UNKNOWN = "unknown"


class RunWatch(Protocol):
    """Told of runs; nothing a watch does changes one."""

    def run(self, claim: Claim) -> AbstractContextManager["WatchedRun"]:
        """Around everything that is done in the claim's name."""
        ...

    def stage(self, stage: Stage, *, subject: str | None = None) -> AbstractContextManager[None]:
        """Around one stretch of the run at hand; `subject` tells alike ones apart."""
        ...


class WatchedRun(Protocol):
    """A run that is watched."""

    def ended(self, ending: Ending) -> None:
        """Told once, before the run is left."""
        ...


class Unwatched:
    """A RunWatch that looks away."""

    @contextmanager
    def run(self, claim: Claim) -> Generator[WatchedRun]:  # noqa: ARG002
        """Nothing."""
        yield self

    @contextmanager
    def stage(self, stage: Stage, *, subject: str | None = None) -> Generator[None]:  # noqa: ARG002
        """Nothing."""
        yield

    def ended(self, ending: Ending) -> None:
        """Nothing."""
