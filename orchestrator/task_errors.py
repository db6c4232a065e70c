"""Task groups raise groups of errors; a job ends for one reason."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager


@contextmanager
def single_error() -> Generator[None]:
    """Raise the first error of a group in its place."""
    try:
        yield
    except ExceptionGroup as group:
        raise _first_leaf(group.exceptions[0]) from group


def _first_leaf(error: Exception) -> Exception:
    nested: Sequence[Exception] = getattr(error, "exceptions", ())
    return _first_leaf(nested[0]) if nested else error
