import json
from typing import Any

import pytest

from stemcore.audio_decoder import DecodeLimits
from stemcore.audio_decoder.answers import Finished, Opened, answer_in
from stemcore.errors import ErrorCode, InvalidInput

OPENED: dict[str, Any] = {
    "event": "opened",
    "container": "wav",
    "codec": "pcm_s16le",
    "sample_rate_hz": 44_100,
    "channels": 2,
    "channel_names": ["FL", "FR"],
}
FINISHED = {"event": "finished", "duration_s": 1.5, "damaged_packets": 0}
FAILED = {"event": "failed", "code": "audio_too_long", "message": "Too long.", "details": {"s": 9}}


def said(answer: object) -> bytes:
    return json.dumps(answer).encode()


def test_what_a_sound_child_says_is_understood() -> None:
    opened, finished = answer_in(said(OPENED)), answer_in(said(FINISHED))
    assert isinstance(opened, Opened)
    opened.require_within(DecodeLimits())
    assert opened.channel_names == ("FL", "FR")
    assert isinstance(finished, Finished)
    assert finished.duration_s == 1.5


def test_a_refusal_keeps_its_code_and_details() -> None:
    with pytest.raises(InvalidInput) as refusal:
        answer_in(said(FAILED))
    assert refusal.value.code is ErrorCode.AUDIO_TOO_LONG
    assert refusal.value.details == {"s": 9}


@pytest.mark.parametrize(
    "packet",
    [
        b"\xff",
        b"{",
        said([]),
        said({"event": "other"}),
        said(OPENED | {"codec": "x" * 10_000}),
        said(OPENED | {"container": "a\x00b"}),
        said(FINISHED | {"duration_s": float("nan")}),
        said(FINISHED | {"duration_s": -1}),
        said(FAILED | {"code": "no_such_code"}),
        said(FAILED | {"message": "\x00"}),
        said(FAILED | {"details": {"a": "\ud800"}}),
    ],
)
def test_what_no_sound_child_says_is_a_broken_decoder(packet: bytes) -> None:
    with pytest.raises(InvalidInput) as refusal:
        answer_in(packet)
    assert refusal.value.code is ErrorCode.UNREADABLE_AUDIO


@pytest.mark.parametrize(
    "lie", [{"channels": 0}, {"channels": 1 << 20}, {"sample_rate_hz": 0}, {"sample_rate_hz": 1e9}]
)
def test_a_source_beyond_the_limits_is_not_believed(lie: dict[str, Any]) -> None:
    opened = answer_in(said(OPENED | lie))
    assert isinstance(opened, Opened)
    with pytest.raises(InvalidInput):
        opened.require_within(DecodeLimits())
