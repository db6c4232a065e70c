"""The disk that both services work on."""

import errno
from collections.abc import Generator
from contextlib import contextmanager

from stemcore.errors import ErrorCode, Unavailable


@contextmanager
def scratch_errors() -> Generator[None]:
    """Tell a full scratch disk from other errors; raises Unavailable."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise Unavailable(ErrorCode.SCRATCH_FULL, "The scratch disk is full.") from error
