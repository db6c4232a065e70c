import pytest

from gateway.jobs.fields import parse_fields
from stemcore.errors import ErrorCode, InvalidInput
from stemcore.separation_request import AudioFormat, ClipMode, ComplementMode


def test_without_fields_there_are_defaults() -> None:
    fields = parse_fields([])
    assert (fields.model, fields.stems, fields.overlap) == (None, (), None)
    assert (fields.output.format, fields.output.bit_depth) == (AudioFormat.WAV, 24)
    assert fields.output.sample_rate == "source"
    assert (fields.clip, fields.priority, fields.metadata) == (ClipMode.CLAMP, 0, {})
    assert (fields.complement, fields.consistency) == (ComplementMode.SUBTRACT, False)
    assert (fields.shifts, fields.seed) == (0, 0)


def test_what_was_left_blank_counts_as_absent() -> None:
    names = ("model", "stems", "output", "output.format", "overlap", "clip", "metadata")
    names += ("shifts", "seed", "complement", "consistency")
    assert parse_fields([(name, "") for name in names]) == parse_fields([])


def test_output_is_one_object_or_several_fields() -> None:
    whole = parse_fields([("output", '{"format": "flac", "bit_depth": 16, "sample_rate": 8000}')])
    parts = parse_fields(
        [
            ("output.format", "flac"),
            ("output.bit_depth", "16"),
            ("output.sample_rate", "8000"),
        ]
    )
    mixed = parse_fields(
        [("output", '{"format": "flac", "bit_depth": 16}'), ("output.sample_rate", "8000")]
    )
    assert whole == parts == mixed


def test_stems_are_repeated_or_separated_by_commas() -> None:
    fields = parse_fields([("stems", "drums, bass"), ("stems", "vocals"), ("stems", "")])
    assert fields.stems == ("drums", "bass", "vocals")


def test_metadata_may_hold_any_json_and_line_ends() -> None:
    text = '{"a": [1, 2.5, null, true, {"b": "line\\nend"}]}'
    assert parse_fields([("metadata", text)]).metadata == {
        "a": [1, 2.5, None, True, {"b": "line\nend"}]
    }


@pytest.mark.parametrize(
    ("texts", "field"),
    [
        ([("overlap", "0.51")], "overlap"),
        ([("overlap", "-0.1")], "overlap"),
        ([("overlap", "inf")], "overlap"),
        ([("shifts", "11")], "shifts"),
        ([("shifts", "-1")], "shifts"),
        ([("shifts", "1.5")], "shifts"),
        ([("seed", "-1")], "seed"),
        ([("seed", "4294967296")], "seed"),
        ([("complement", "divide")], "complement"),
        ([("consistency", "mostly")], "consistency"),
        ([("output.bit_depth", "8")], "output.bit_depth"),
        ([("output.bit_depth", "1_6")], "output.bit_depth"),
        ([("output.colour", "red")], "output.colour"),
        ([("output.sample_rate", "7999")], "output.sample_rate"),
        ([("priority", "1.5")], "priority"),
        ([("nonsense", "1")], "nonsense"),
        ([("metadata", '{"beyond what JSON can say again": 1e999}')], "metadata"),
    ],
)
def test_a_wrong_field_is_named(texts: list[tuple[str, str]], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_fields(texts)
    errors = caught.value.details["errors"]
    assert isinstance(errors, list)
    assert any(str(item["field"]).startswith(field) for item in errors)


@pytest.mark.parametrize(
    "texts",
    [
        [("model", "a"), ("model", "b")],
        [("output", "{}"), ("output", "{}")],
        [("output", '{"format": "wav"}'), ("output.format", "flac")],
        [("output", "[]"), ("output.format", "flac")],
        [("output.format", "flac"), ("output", "{}")],
    ],
)
def test_a_field_given_twice_is_refused(texts: list[tuple[str, str]]) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_fields(texts)
    assert caught.value.code is ErrorCode.INVALID_REQUEST
