import json
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stemcore.messages import JobRequested, Undecodable, decode

MESSAGE = JobRequested(event_id=uuid4(), job_id=uuid4(), kind="separation", account_id=uuid4())


def test_a_message_survives_the_wire() -> None:
    assert decode(MESSAGE.model_dump_json()) == MESSAGE


def test_a_newer_sender_may_add_fields() -> None:
    payload = json.loads(MESSAGE.model_dump_json()) | {"colour": "red"}
    assert decode(json.dumps(payload)) == MESSAGE


@pytest.mark.parametrize(
    "change", [{"version": 2}, {"type": "job_forgotten"}, {"job_id": "x"}, {"account_id": None}]
)
def test_what_is_not_understood_is_named_so(change: dict[str, object]) -> None:
    payload = json.dumps(json.loads(MESSAGE.model_dump_json()) | change)
    outcome = decode(payload)
    assert isinstance(outcome, Undecodable)
    assert outcome.payload == payload
    assert outcome.reason


@settings(deadline=None)
@given(st.text(max_size=50))
def test_no_payload_raises(payload: str) -> None:
    assert isinstance(decode(payload), Undecodable)
