"""A submission's form, read in one pass: plain fields are gathered, the file flows through."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from pathlib import PurePosixPath

from gateway.jobs.multipart import Part
from stemcore.errors import ErrorCode, InvalidInput

FILE_FIELD = "file"
MAX_NAME_LENGTH = 200
CHUNK_BYTES = 1 << 18
# An upload of one byte a minute would hold its connection for ever.
LEAST_BYTES = 1 << 16

Texts = Sequence[tuple[str, str]]
TakeFile = Callable[[str, AsyncIterator[bytes], Texts], Awaitable[None]]


async def read_form(parts: AsyncIterator[Part], take_file: TakeFile) -> Texts:
    """The plain fields; `take_file` gets the file's name, its bytes and the fields so far.

    Raises InvalidInput unless there is exactly one file.
    """
    texts: list[tuple[str, str]] = []
    files = 0
    async for part in parts:
        if part.name == FILE_FIELD:
            files += 1
            if files > 1:
                raise _invalid("One job takes one file.")
            await take_file(source_name(part.filename), part.chunks, tuple(texts))
        else:
            texts.append((part.name, await part.text()))
    if files == 0:
        raise _invalid("The form has no field `file`.")
    return tuple(texts)


def source_name(filename: str | None) -> str:
    """A name fit to be shown and stored: no folders, no control characters, not too long."""
    last = (filename or "").replace("\\", "/").rpartition("/")[2]
    clean = "".join(char for char in last if char.isprintable()).strip(". ")
    name = PurePosixPath(clean or "audio")
    return name.stem[: MAX_NAME_LENGTH - len(name.suffix[:20])] + name.suffix[:20]


async def within(chunks: AsyncIterator[bytes], *, max_bytes: int) -> AsyncGenerator[bytes]:
    """The same bytes in larger chunks; raises InvalidInput at the first byte too many."""
    gathered, total = bytearray(), 0
    async for chunk in chunks:
        total += len(chunk)
        if total > max_bytes:
            raise too_large(max_bytes)
        gathered += chunk
        if len(gathered) >= CHUNK_BYTES:
            yield bytes(gathered)
            gathered.clear()
    if gathered:
        yield bytes(gathered)


async def unstalled(chunks: AsyncIterator[bytes], *, timeout_s: float) -> AsyncGenerator[bytes]:
    """The same bytes; raises InvalidInput when the next `LEAST_BYTES` take longer than `timeout_s`.

    Only waiting for the client counts: whoever takes the bytes may be slow.
    """
    clock = asyncio.get_running_loop().time
    left_s, received = timeout_s, 0
    while True:
        asked_at = clock()
        try:
            async with asyncio.timeout(left_s):
                chunk = await anext(chunks, None)
        except TimeoutError:
            raise InvalidInput(
                ErrorCode.REQUEST_TIMEOUT,
                "The upload has stalled.",
                details={"timeout_s": timeout_s, "least_bytes": LEAST_BYTES},
            ) from None
        if chunk is None:
            return
        left_s, received = left_s - (clock() - asked_at), received + len(chunk)
        if received >= LEAST_BYTES:
            left_s, received = timeout_s, 0
        yield chunk


def too_large(max_bytes: int) -> InvalidInput:
    """The refusal of a file beyond the limit."""
    return InvalidInput(
        ErrorCode.FILE_TOO_LARGE,
        "The file is larger than allowed.",
        details={"max_bytes": max_bytes},
    )


def _invalid(message: str) -> InvalidInput:
    return InvalidInput(ErrorCode.INVALID_REQUEST, message, details={"field": FILE_FIELD})
