from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.results.byte_range import parse_range
from stemcore.errors import InvalidInput


@settings(deadline=None)
@given(
    header=st.text(max_size=20) | st.from_regex(r"bytes=[0-9]{0,5}-[0-9]{0,5}", fullmatch=True),
    size_bytes=st.integers(0, 10**5),
)
def test_no_header_breaks_it(header: str, size_bytes: int) -> None:
    with suppress(InvalidInput):
        wanted = parse_range(header, size_bytes=size_bytes)
        assert wanted is None or 0 <= wanted.start < wanted.stop <= size_bytes


@settings(deadline=None)
@given(size=st.integers(1, 10**12), first=st.integers(0, 10**13), last=st.integers(0, 10**13))
def test_a_range_is_what_slicing_gives(size: int, first: int, last: int) -> None:
    if first >= size and last >= first:
        with pytest.raises(InvalidInput):
            parse_range(f"bytes={first}-{last}", size_bytes=size)
    elif last >= first:
        wanted = parse_range(f"bytes={first}-{last}", size_bytes=size)
        assert wanted is not None
        assert (wanted.start, wanted.stop) == (first, min(last + 1, size))
        assert wanted.content_range == f"bytes {first}-{min(last, size - 1)}/{size}"
    else:
        assert parse_range(f"bytes={first}-{last}", size_bytes=size) is None


@pytest.mark.parametrize("header", ["bytes=0-", "bytes=-1", "bytes=0-0"])
def test_an_empty_file_has_no_range(header: str) -> None:
    with pytest.raises(InvalidInput):
        parse_range(header, size_bytes=0)


def test_no_header_means_the_whole_file() -> None:
    assert parse_range(None, size_bytes=10) is None
