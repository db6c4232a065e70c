"""Who watches without taking part: spans, figures, ids for log lines, signs of life."""

from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from enum import StrEnum
from typing import Protocol

from orchestrator.claims import Claim, Interrupted, Outcome
from stemcore.bus.port import Arrival
from stemcore.errors import InvalidInput, LeaseLost
from stemcore.jobs import JobStatus


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


def ending_of(outcome: Outcome | Exception, *, last_attempt: bool) -> Ending:
    """How a run ended whose outcome has been settled."""
    match outcome:
        case Outcome():
            return Ending.SUCCEEDED
        case LeaseLost():
            return Ending.LOST
        case Interrupted():
            return Ending.GIVEN_BACK
        case InvalidInput():
            return Ending.FAILED
        case _:
            return Ending.FAILED if last_attempt else Ending.BACKED_OFF


class RunWatch(Protocol):
    """Told of runs; nothing a watch does changes one."""

    def run(self, claim: Claim) -> AbstractContextManager["WatchedRun"]:
        """Around everything that is done in the claim's name."""
        ...

    def stage(self, stage: Stage, *, subject: str | None = None) -> AbstractContextManager[None]:
        """Around one stretch of the run at hand; `subject` tells alike ones apart."""
        ...


class IntakeWatch(Protocol):
    """Told of messages."""

    def taking(self, arrival: Arrival) -> AbstractContextManager[None]:
        """Around the effect of one arrival."""
        ...

    def buried(self) -> None:
        """A message was put aside."""
        ...


class SweepWatch(Protocol):
    """Told of sweeps."""

    def sweeping(self) -> AbstractContextManager[None]:
        """Around one round."""
        ...

    def expired(self, status: JobStatus) -> None:
        """A lease was taken from a holder that gave no sign of life; where the job is now."""
        ...


class WatchedRun(Protocol):
    """A run that is watched."""

    def ended(self, ending: Ending) -> None:
        """Told once, before the run is left."""
        ...


class Unwatched:
    """Every kind of watch, looking away."""

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

    @contextmanager
    def taking(self, arrival: Arrival) -> Generator[None]:  # noqa: ARG002
        """Nothing."""
        yield

    def buried(self) -> None:
        """Nothing."""

    @contextmanager
    def sweeping(self) -> Generator[None]:
        """Nothing."""
        yield

    def expired(self, status: JobStatus) -> None:
        """Nothing."""


UNWATCHED = Unwatched()
