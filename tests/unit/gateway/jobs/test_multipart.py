"""The form reader gives the same parts however the body is cut."""

from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.jobs.multipart import MAX_TEXT_BYTES, MultipartReader
from stemcore.errors import ErrorCode, InvalidInput

TYPE = "multipart/form-data; boundary=bound"

Form = list[tuple[str, str | None, bytes]]


def encoded(form: Form) -> bytes:
    body = b""
    for name, filename, data in form:
        disposition = f'form-data; name="{name}"'
        if filename is not None:
            disposition += f'; filename="{filename}"'
        body += f"--bound\r\nContent-Disposition: {disposition}\r\n\r\n".encode() + data + b"\r\n"
    return body + b"--bound--\r\n"


async def cut(body: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


async def read(body: bytes, *, size: int, content_type: str = TYPE) -> Form:
    reader = MultipartReader(cut(body, size), content_type=content_type)
    return [
        (part.name, part.filename, b"".join([chunk async for chunk in part.chunks]))
        async for part in reader.parts()
    ]


# What looks like a boundary in the data is what a reader trips over.
tricky = st.lists(
    st.sampled_from([b"\r\n", b"--", b"bound", b"\r\n--bound", b"\r", b"\n", b"-", b"x", b"\0"]),
    max_size=12,
).map(b"".join)
contents = (tricky | st.binary(max_size=300)).filter(lambda data: b"\r\n--bound" not in data)
forms = st.lists(
    st.tuples(
        st.sampled_from(["file", "stems", "naïve"]),
        st.none() | st.sampled_from(["a.wav", "Für Elise.mp3", ""]),
        contents,
    ),
    max_size=6,
)


@settings(deadline=None)
@given(form=forms, size=st.integers(1, 200))
async def test_every_form_comes_back(form: Form, size: int) -> None:
    assert await read(encoded(form), size=size) == form


async def test_parts_that_are_not_read_are_skipped() -> None:
    form: Form = [("a", None, b"1" * 5_000), ("b", None, b"2"), ("c", "c.wav", b"3" * 5_000)]
    reader = MultipartReader(cut(encoded(form), 100), content_type=TYPE)
    assert [part.name async for part in reader.parts()] == ["a", "b", "c"]


async def test_a_text_has_a_largest_size() -> None:
    body = encoded([("a", None, b"x" * (MAX_TEXT_BYTES + 1))])
    reader = MultipartReader(cut(body, 1_000), content_type=TYPE)
    with pytest.raises(InvalidInput, match="too long"):
        await (await anext(reader.parts())).text()


async def test_a_text_is_utf8() -> None:
    reader = MultipartReader(cut(encoded([("a", None, b"\xff")]), 1_000), content_type=TYPE)
    with pytest.raises(InvalidInput, match="UTF-8"):
        await (await anext(reader.parts())).text()


@pytest.mark.parametrize(
    ("body", "content_type", "code"),
    [
        (b"", TYPE, ErrorCode.INVALID_REQUEST),
        (b"hello", TYPE, ErrorCode.INVALID_REQUEST),
        (encoded([("a", None, b"1")])[:-12], TYPE, ErrorCode.INVALID_REQUEST),
        (encoded([("", None, b"1")]), TYPE, ErrorCode.INVALID_REQUEST),
        (encoded([("a" * 101, None, b"1")]), TYPE, ErrorCode.INVALID_REQUEST),
        (encoded([("a", None, b"")] * 65), TYPE, ErrorCode.INVALID_REQUEST),
        (encoded([]), "multipart/form-data", ErrorCode.INVALID_REQUEST),
        (encoded([]), f"multipart/form-data; boundary={'x' * 300}", ErrorCode.INVALID_REQUEST),
        (encoded([]), "multipart/mixed; boundary=bound", ErrorCode.UNSUPPORTED_MEDIA_TYPE),
        (encoded([]), "", ErrorCode.UNSUPPORTED_MEDIA_TYPE),
        (encoded([]), "text/plain", ErrorCode.UNSUPPORTED_MEDIA_TYPE),
    ],
)
async def test_what_is_no_form_is_refused(body: bytes, content_type: str, code: ErrorCode) -> None:
    with pytest.raises(InvalidInput) as caught:
        await read(body, size=50, content_type=content_type)
    assert caught.value.code is code
