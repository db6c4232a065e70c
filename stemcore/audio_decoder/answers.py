"""What a child may answer. It has parsed what strangers sent, so nothing it says is believed
before it is looked at."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, TypeAdapter, ValidationError

from stemcore.audio_decoder.facts import DecodeLimits
from stemcore.errors import ErrorCode, InvalidInput
from stemcore.text import StorableText

Name = Annotated[StorableText, Field(max_length=100)]
Sentence = Annotated[StorableText, Field(max_length=500)]


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Opened(_Answer):
    """The source's first samples are decoded."""

    event: Literal["opened"]
    container: Name
    codec: Name
    sample_rate_hz: int
    channels: int
    channel_names: tuple[Name, ...]

    def require_within(self, limits: DecodeLimits) -> None:
        """Raise InvalidInput for what a sound child would have refused."""
        rates = range(limits.min_sample_rate_hz, limits.max_sample_rate_hz + 1)
        if self.sample_rate_hz not in rates or not 1 <= self.channels <= limits.max_channels:
            raise broken()


class Finished(_Answer):
    """The work is done."""

    event: Literal["finished"]
    duration_s: Annotated[FiniteFloat, Field(ge=0)]
    damaged_packets: Annotated[int, Field(ge=0)]


class Failed(_Answer):
    """The source is refused."""

    event: Literal["failed"]
    code: ErrorCode
    message: Sentence
    details: Annotated[dict[Name, Name | int | FiniteFloat], Field(max_length=10)]


Answer = Opened | Finished | Failed

_answers: TypeAdapter[Answer] = TypeAdapter(Annotated[Answer, Field(discriminator="event")])


def answer_in(packet: bytes) -> Opened | Finished:
    """Raises InvalidInput for a refusal, and for what no sound child says."""
    try:
        answer = _answers.validate_json(packet)
    except ValidationError as error:
        raise broken() from error
    if isinstance(answer, Failed):
        raise InvalidInput(answer.code, answer.message, details=answer.details)
    return answer


def broken() -> InvalidInput:
    """What a source is refused with over which a child has died or lost its mind."""
    return InvalidInput(ErrorCode.UNREADABLE_AUDIO, "The decoder broke on this file.")
