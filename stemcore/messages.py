"""Messages between services and with other systems: versioned, tagged by a literal, JSON.

A reader ignores fields it does not know, so a newer sender may add some; whatever else changes is
a new version. Every message has an `event_id` of its sender: two with the same id are one message.
"""

import json
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter

from stemcore.jobs import EventType
from stemcore.text import StorableText


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    event_id: UUID


class JobRequested(_Message):
    """A job has been accepted and waits to be queued. Audio never travels here."""

    type: Literal["job_requested"] = "job_requested"
    version: Literal[1] = 1
    job_id: UUID
    kind: str
    account_id: UUID


class SubmitJob(_Message):
    """Another system asks for a job on a song it has put into the object store.

    `service_account` is a name that the settings map to an account and to a prefix, below which
    `source_key` must lie. `parameters` are those of `POST /v1/jobs`: model, stems, output, how to
    run it. With `source_sha256` (hexadecimal) a song that is another one is never separated.
    """

    type: Literal["submit_job"] = "submit_job"
    version: Literal[1] = 1
    service_account: Annotated[StorableText, Field(max_length=200)]
    source_key: Annotated[StorableText, Field(max_length=1024)]
    filename: Annotated[StorableText, Field(min_length=1, max_length=200, pattern=r"^[^/\\]+$")]
    parameters: dict[str, Any] = {}
    priority: int = 0
    metadata: dict[str, Any] = {}
    source_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None


class JobEvent(_Message):
    """A job's status has changed. `seq` is the entry's number in the job's log.

    Entries of progress are numbered there too but are not published, so numbers may be left out;
    they always grow. `data` holds what the log holds: for a failed job its `error`.
    """

    type: Literal["job_event"] = "job_event"
    version: Literal[1] = 1
    job_id: UUID
    account_id: UUID
    seq: int
    at: AwareDatetime
    event: EventType
    data: dict[str, Any]


class DeadLetter(_Message):
    """A record that had no effect, and why; cut off where `truncated`.

    `partition` and `offset` are None when it did not come from a broker.
    """

    type: Literal["dead_letter"] = "dead_letter"
    version: Literal[1] = 1
    topic: str
    partition: int | None
    offset: int | None
    headers: dict[str, str]
    payload: str
    truncated: bool = False
    reason: str


class Undecodable(BaseModel):
    """The named outcome of a payload nobody here understands."""

    model_config = ConfigDict(frozen=True)

    payload: str
    reason: str


KnownMessage = JobRequested | SubmitJob | JobEvent | DeadLetter
Message = KnownMessage | Undecodable

_known: TypeAdapter[KnownMessage] = TypeAdapter(
    Annotated[KnownMessage, Field(discriminator="type")]
)


def decode(payload: str) -> Message:
    """The message in `payload`, or `Undecodable` with the reason; never raises."""
    try:
        return _known.validate_python(json.loads(payload, parse_constant=_refuse_constant))
    except (ValueError, RecursionError) as error:
        return Undecodable(payload=payload, reason=str(error))


def encode(message: KnownMessage) -> str:
    """The message as it travels."""
    return message.model_dump_json()


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
