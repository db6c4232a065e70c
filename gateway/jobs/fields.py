"""The fields of a submission beside the file: text from a form to checked values."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from gateway.text import StorableText, require_storable
from stemcore.errors import ErrorCode, InvalidInput
from stemcore.separation_request import AudioFormat, ClipMode

MAX_METADATA_BYTES = 16 * 1024
MAX_METADATA_DEPTH = 16
MAX_OVERLAP = 0.75

_NESTED = "output."
_JSON_FIELDS = ("output", "metadata")

SampleRateHz = Annotated[int, Field(ge=8_000, le=192_000)]


class OutputFields(BaseModel):
    """How stems are written."""

    model_config = ConfigDict(extra="forbid")

    format: AudioFormat = AudioFormat.WAV
    bit_depth: Literal[16, 24, 32] = Field(
        default=24, description="32 means IEEE float, for WAV alone."
    )
    sample_rate: Literal["source"] | SampleRateHz = Field(
        default="source", description="Hz, or `source` for the source's own."
    )

    @field_validator("bit_depth", mode="before")
    @classmethod
    def _number(cls, value: Any) -> Any:
        return int(value) if isinstance(value, str) and value.isdecimal() else value


class SubmissionFields(BaseModel):
    """Every field of the form but `file`."""

    model_config = ConfigDict(extra="forbid")

    model: Annotated[StorableText, Field(max_length=200)] | None = Field(
        default=None, description="A name from `GET /v1/models`; the service has a default."
    )
    stems: tuple[Annotated[StorableText, Field(max_length=100)], ...] = Field(
        default=(), description="Wanted stems, repeated or comma-separated; all of them if absent."
    )
    output: OutputFields = OutputFields()
    overlap: float | None = Field(
        default=None, ge=0, le=MAX_OVERLAP, description="Of segments; the model's own if absent."
    )
    clip: ClipMode = Field(
        default=ClipMode.CLAMP,
        description="Beyond full scale: `clamp` cuts samples, `rescale` scales the stem, `none` "
        "leaves them (32-bit WAV alone).",
    )
    priority: int = Field(default=0, ge=-10, le=10, description="Higher runs earlier.")
    metadata: dict[str, Any] = Field(default_factory=dict, description="Yours, echoed.")

    @field_validator("metadata")
    @classmethod
    def _small_and_storable(cls, value: dict[str, Any]) -> dict[str, Any]:
        for text in _texts(value):
            require_storable(text.translate(_LAYOUT))
        if len(json.dumps(value)) > MAX_METADATA_BYTES:
            raise ValueError(f"at most {MAX_METADATA_BYTES} bytes of JSON")
        return value


# Line ends and tabs are harmless in what is only echoed.
_LAYOUT = {ord(char): None for char in "\n\r\t"}


def parse_fields(texts: Sequence[tuple[str, str]]) -> SubmissionFields:
    """Checked fields from (name, value) pairs; raises InvalidInput naming each wrong one."""
    try:
        return SubmissionFields.model_validate(_collected(texts))
    except ValidationError as error:
        complaints = [
            {"field": ".".join(map(str, item["loc"])), "message": item["msg"]}
            for item in error.errors(include_input=False, include_context=False, include_url=False)
        ]
        raise _invalid("Some fields of the form are not valid.", errors=complaints) from None


def _collected(texts: Sequence[tuple[str, str]]) -> Mapping[str, Any]:
    values: dict[str, Any] = {}
    for name, text in texts:
        if not text:
            # A form on a page sends what was left blank.
            continue
        if name == "stems":
            named = [stem.strip() for stem in text.split(",")]
            values.setdefault(name, []).extend(stem for stem in named if stem)
        elif name.startswith(_NESTED):
            _set_once(values.setdefault("output", {}), name.removeprefix(_NESTED), text)
        else:
            _set_once(values, name, _json(name, text) if name in _JSON_FIELDS else text)
    return values


def _set_once(values: Any, name: str, value: Any) -> None:
    if not isinstance(values, dict):
        raise _invalid("`output` must be a JSON object.")
    if name in values:
        raise _invalid(f"The field {name!r} is given twice.", field=name)
    values[name] = value


def _json(name: str, text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise _invalid(f"The field {name!r} must be JSON.", field=name) from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)


def _texts(value: Any) -> Iterator[str]:
    """Every text in a JSON value; raises ValueError where it is nested too deeply."""
    left: list[tuple[int, Any]] = [(0, value)]
    while left:
        depth, item = left.pop()
        if depth > MAX_METADATA_DEPTH:
            raise ValueError(f"at most {MAX_METADATA_DEPTH} levels")
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            pairs = cast("dict[str, Any]", item)
            yield from pairs
            left.extend((depth + 1, nested) for nested in pairs.values())
        elif isinstance(item, list):
            left.extend((depth + 1, nested) for nested in cast("list[Any]", item))


def _invalid(message: str, **details: Any) -> InvalidInput:
    return InvalidInput(ErrorCode.INVALID_REQUEST, message, details=details)
