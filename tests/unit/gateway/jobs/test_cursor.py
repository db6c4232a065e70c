from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.jobs.cursor import decode_cursor, encode_cursor
from stemcore.errors import InvalidInput


@settings(deadline=None)
@given(st.uuids())
def test_a_cursor_leads_back(job_id: UUID) -> None:
    assert decode_cursor(encode_cursor(job_id)) == job_id


@pytest.mark.parametrize("cursor", ["", "?", "AAAA", "é", "A" * 64, "=" * 22])
def test_a_cursor_of_ones_own_making_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidInput):
        decode_cursor(cursor)
