"""What can keep the stack from coming up.

StackError
├── RuntimeInUse     another stack runs from the same directory
├── EnvironmentLacks something on this machine is missing; the text says how to get it
├── ProcessFailed    a process ended again and again before it was ready; names its log
├── StartTimedOut    a process was not ready in time; names its log
└── NothingToServe   all runs, but no job could: says which models were refused, and why
"""

from pathlib import Path


class StackError(Exception):
    """Its text is meant for the person at the terminal."""


class RuntimeInUse(StackError):
    """Two stacks must not share a database directory."""


class EnvironmentLacks(StackError):
    """Nothing can start until the named thing is there."""


class ProcessFailed(StackError):
    """The process ended before it was ready."""

    def __init__(self, name: str, *, what: str, log: Path) -> None:
        super().__init__(f"{name} {what}. Its log, {log}, ends with:\n{_tail(log)}")


class StartTimedOut(ProcessFailed):
    """The process runs, but does not answer as it should."""


class NothingToServe(StackError):
    """What the gateway misses, in its own words, and what Triton was refused."""


def _tail(log: Path, lines: int = 15) -> str:
    try:
        text = log.read_text(errors="replace")
    except OSError:
        return "  (no log)"
    return "\n".join(f"  {line}" for line in text.splitlines()[-lines:])
