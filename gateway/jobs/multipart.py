"""multipart/form-data read part by part, as it arrives: nothing is kept, in memory or on disk."""

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from stemcore.errors import ErrorCode, InvalidInput

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MEDIA_TYPE = "multipart/form-data"
MAX_PARTS = 64
MAX_TEXT_BYTES = 64 * 1024
MAX_NAME_LENGTH = 100


class _Mark(Enum):
    END_OF_PART = "end of part"
    END = "end"


Headers = Mapping[bytes, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One field of the form; read it before asking for the next.

    `filename` is None for a plain field.
    """

    name: str
    filename: str | None
    chunks: AsyncIterator[bytes]

    async def text(self) -> str:
        """The value of a plain field; raises InvalidInput when it is long or not UTF-8."""
        data = bytearray()
        async for chunk in self.chunks:
            data += chunk
            if len(data) > MAX_TEXT_BYTES:
                raise _malformed(f"The field {self.name!r} is too long.", field=self.name)
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise _malformed(f"The field {self.name!r} is not UTF-8.", field=self.name) from None


class MultipartReader:
    """Parts of a body; raises InvalidInput where the body is no multipart/form-data."""

    def __init__(self, body: AsyncIterator[bytes], *, content_type: str) -> None:
        self._body = body
        self._seen: deque[bytes | Headers | _Mark] = deque()
        self._headers: dict[bytes, bytes] = {}
        self._name = bytearray()
        self._value = bytearray()
        with _form_errors():
            self._parser = MultipartParser(_boundary(content_type), self._callbacks())

    async def parts(self) -> AsyncGenerator[Part]:
        """The parts, in the order of the body."""
        for _ in range(MAX_PARTS):
            item = await self._next()
            if not isinstance(item, Mapping):
                return
            part = self._part(item)
            yield part
            async for _unread in part.chunks:
                pass
        raise _malformed(f"The form has more than {MAX_PARTS} fields.")

    def _part(self, headers: Headers) -> Part:
        _, options = parse_options_header(headers.get(b"content-disposition", b""))
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if not 0 < len(name) <= MAX_NAME_LENGTH:
            raise _malformed("A field of the form has no name, or a very long one.")
        filename = options.get(b"filename")
        return Part(
            name=name,
            filename=None if filename is None else filename.decode("utf-8", "replace"),
            chunks=self._chunks(),
        )

    async def _chunks(self) -> AsyncGenerator[bytes]:
        while isinstance(item := await self._next(), bytes):
            yield item

    async def _next(self) -> bytes | Headers | _Mark:
        while not self._seen:
            await self._feed()
        return self._seen.popleft()

    async def _feed(self) -> None:
        data = await anext(self._body, None)
        if data is None:
            raise _malformed("The form breaks off before its end.")
        with _form_errors():
            self._parser.write(data)

    def _callbacks(self) -> "MultipartCallbacks":
        return {
            "on_header_field": self._on_header_field,
            "on_header_value": self._on_header_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers_finished,
            "on_part_data": lambda data, start, end: self._seen.append(data[start:end]),
            "on_part_end": lambda: self._seen.append(_Mark.END_OF_PART),
            "on_end": lambda: self._seen.append(_Mark.END),
        }

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        self._headers[bytes(self._name).lower()] = bytes(self._value)
        self._name.clear()
        self._value.clear()

    def _on_headers_finished(self) -> None:
        self._seen.append(self._headers)
        self._headers = {}


@contextmanager
def _form_errors() -> Generator[None]:
    try:
        yield
    except FormParserError as error:
        raise _malformed("The body is not a well-formed form.") from error


def _boundary(content_type: str) -> bytes:
    media_type, options = parse_options_header(content_type)
    if media_type.lower() != MEDIA_TYPE.encode():
        raise InvalidInput(
            ErrorCode.UNSUPPORTED_MEDIA_TYPE,
            f"Send the song as the field `file` of {MEDIA_TYPE}.",
            details={"content_type": content_type[:100], "supported": [MEDIA_TYPE]},
        )
    if not options.get(b"boundary"):
        raise _malformed("The Content-Type names no boundary.")
    return options[b"boundary"]


def _malformed(message: str, **details: str) -> InvalidInput:
    return InvalidInput(ErrorCode.INVALID_REQUEST, message, details=details)
