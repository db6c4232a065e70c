"""The Range header (RFC 9110, section 14): one range of bytes; more than one is not honoured."""

import re
from dataclasses import dataclass

from stemcore.errors import ErrorCode, InvalidInput

_SINGLE = re.compile(r"bytes=[ \t]*(\d{0,19})-(\d{0,19})[ \t]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ByteRange:
    """The bytes [start, stop) of `size_bytes`."""

    start: int
    stop: int
    size_bytes: int

    @property
    def length(self) -> int:
        """How many bytes."""
        return self.stop - self.start

    @property
    def content_range(self) -> str:
        """The Content-Range header."""
        return f"bytes {self.start}-{self.stop - 1}/{self.size_bytes}"


def parse_range(header: str | None, *, size_bytes: int) -> ByteRange | None:
    """The wanted range, or None for the whole file, as for a header that means nothing to us.

    Raises InvalidInput for a range beyond the end.
    """
    match = _SINGLE.fullmatch(header or "")
    if match is None or not any(match.groups()):
        return None
    first, last = (int(digits) if digits else None for digits in match.groups())
    if first is None:
        start, stop = max(size_bytes - (last or 0), 0), size_bytes
    elif last is not None and last < first:
        return None
    else:
        start, stop = first, size_bytes if last is None else min(last + 1, size_bytes)
    if start >= stop:
        raise InvalidInput(
            ErrorCode.RANGE_NOT_SATISFIABLE,
            "The range lies beyond the end of the file.",
            details={"size_bytes": size_bytes},
        )
    return ByteRange(start=start, stop=stop, size_bytes=size_bytes)
