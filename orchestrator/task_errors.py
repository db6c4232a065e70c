"""Task groups raise groups of errors; a job ends for one reason."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast


@contextmanager
def single_error() -> Iterator[None]:
    """Raise the first error of a group in its place."""
    try:
        yield
    except ExceptionGroup as group:
        leaf: Exception = group
        while isinstance(leaf, ExceptionGroup):
            leaf = cast("ExceptionGroup[Exception]", leaf).exceptions[0]
        raise leaf from group
