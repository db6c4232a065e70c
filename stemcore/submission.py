"""What may be asked for beside the song, through whichever door: checked values."""

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from stemcore.errors import ErrorCode, InvalidInput
from stemcore.separation_request import AudioFormat, ClipMode, ComplementMode
from stemcore.text import StorableText, require_storable

MAX_METADATA_BYTES = 16 * 1024
MAX_METADATA_DEPTH = 16
MAX_OVERLAP = 0.5
MAX_SHIFTS = 10
MAX_SEED = 2**32 - 1

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
    """Every field of a submission but the song itself."""

    model_config = ConfigDict(extra="forbid")

    model: Annotated[StorableText, Field(max_length=200)] | None = Field(
        default=None, description="A name from `GET /v1/models`; the service has a default."
    )
    preset: Annotated[StorableText, Field(max_length=100)] | None = Field(
        default=None,
        description="A name from `GET /v1/presets`: it chooses model, stems and options, but for "
        "those that are given beside it.",
    )
    stems: tuple[Annotated[StorableText, Field(max_length=100)], ...] = Field(
        default=(),
        description="Wanted stems, repeated or comma-separated; all of them if absent. `no_<stem>` "
        "is everything but that stem, `instrumental` everything but the vocals.",
    )
    output: OutputFields = OutputFields()
    overlap: float | None = Field(
        default=None,
        ge=0,
        le=MAX_OVERLAP,
        description="Of segments; the model's own if absent. Not for models of a fixed hop.",
    )
    shifts: int = Field(
        default=0,
        ge=0,
        le=MAX_SHIFTS,
        description="Runs to average, each delayed by a random time of up to half a second: "
        "slower, a little better. 0 is one run without delay.",
    )
    seed: int = Field(
        default=0, ge=0, le=MAX_SEED, description="Of the delays; equal seeds give equal bytes."
    )
    complement: ComplementMode = Field(
        default=ComplementMode.SUBTRACT,
        description="How `no_<stem>` and `instrumental` are made: `subtract` takes the stem off "
        "the song, `sum` adds the model's other stems.",
    )
    consistency: bool = Field(
        default=False, description="Whether the stems are made to add up to the song."
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
        if len(json.dumps(value, allow_nan=False)) > MAX_METADATA_BYTES:
            raise ValueError(f"at most {MAX_METADATA_BYTES} bytes of JSON")
        return value


# Line ends and tabs are harmless in what is only echoed.
_LAYOUT = {ord(char): None for char in "\n\r\t"}


def checked(values: Mapping[str, Any]) -> SubmissionFields:
    """The fields in `values`; raises InvalidInput naming each wrong one."""
    try:
        return SubmissionFields.model_validate(values)
    except ValidationError as error:
        complaints = [
            {"field": ".".join(map(str, item["loc"])), "message": item["msg"]}
            for item in error.errors(include_input=False, include_context=False, include_url=False)
        ]
        raise InvalidInput(
            ErrorCode.INVALID_REQUEST,
            "Some fields of the submission are not valid.",
            details={"errors": complaints},
        ) from None


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
