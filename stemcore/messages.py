"""Messages between services: versioned, tagged by a literal, JSON on the wire."""

from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, ValidationError


class JobRequested(BaseModel):
    """A job has been accepted and waits to be queued. Audio never travels here."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    type: Literal["job_requested"] = "job_requested"
    version: Literal[1] = 1
    event_id: UUID
    job_id: UUID
    kind: str
    account_id: UUID


class Undecodable(BaseModel):
    """The named outcome of a payload nobody here understands."""

    model_config = ConfigDict(frozen=True)

    payload: str
    reason: str


Message = JobRequested | Undecodable


def decode(payload: str) -> Message:
    """The message in `payload`, or `Undecodable` with the reason; never raises."""
    try:
        return JobRequested.model_validate_json(payload)
    except ValidationError as error:
        return Undecodable(payload=payload, reason=str(error))
