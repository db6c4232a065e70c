"""Samples of every message, as they have travelled before: they are read and written unchanged.

A sample is never edited. A message that changes gets a new version, and a sample beside the old.
"""

import json
from pathlib import Path

import pytest

from stemcore.messages import KnownMessage, SubmitJob, Undecodable, decode, encode
from stemcore.submission import checked

SAMPLES = sorted((Path(__file__).parent / "golden").glob("*.json"))


def canonical(text: str) -> bytes:
    return json.dumps(
        json.loads(text), sort_keys=True, separators=(",", ":"), ensure_ascii=False
    ).encode()


def test_every_version_of_every_message_has_a_sample() -> None:
    sampled = {(type(message), message.version) for message in map(read, SAMPLES)}
    assert sampled == {(kind, 1) for kind in KnownMessage.__args__}


def read(sample: Path) -> KnownMessage:
    message = decode(sample.read_text())
    assert not isinstance(message, Undecodable), message.reason
    return message


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.stem)
def test_a_sample_is_read_and_written_unchanged(sample: Path) -> None:
    assert canonical(encode(read(sample))) == canonical(sample.read_text())


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.stem)
def test_another_version_is_undecodable(sample: Path) -> None:
    payload = json.dumps(json.loads(sample.read_text()) | {"version": 2})
    outcome = decode(payload)
    assert isinstance(outcome, Undecodable)
    assert (outcome.payload, "version" in outcome.reason) == (payload, True)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.stem)
def test_a_field_added_by_a_newer_sender_is_ignored(sample: Path) -> None:
    newer = json.dumps(json.loads(sample.read_text()) | {"colour": "red"})
    assert decode(newer) == read(sample)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.stem)
def test_what_a_sample_asks_for_can_be_asked_for(sample: Path) -> None:
    message = read(sample)
    if isinstance(message, SubmitJob):
        fields = checked(message.parameters)
        asked = json.loads(fields.model_dump_json(exclude_unset=True))
        assert asked == json.loads(json.dumps(message.parameters))
