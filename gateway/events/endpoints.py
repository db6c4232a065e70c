"""The event stream of a job."""

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Response
from fastapi.responses import StreamingResponse
from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, format_sse_event

from gateway.composition import Services
from gateway.dependencies import CurrentAccount, JobId, TheServices
from gateway.jobs.schemas import JobErrorResponse
from gateway.openapi import problems
from stemcore.errors import ErrorCode
from stemcore.jobs import JobEvent

router = APIRouter(prefix="/v1/jobs/{job_id}", tags=["jobs"])

_EXAMPLE = """event: job.progress
data: {"job_id": "019a6d3c-6d0a-7c1e-8c54-a4ad6fd7b3f1", "seq": 4, "at": "2026-11-21T12:00:08Z",
data: "type": "job.progress", "progress": 0.25, "stage": "inference"}
id: 4

"""

LastEventId = Annotated[
    int, Header(alias="Last-Event-ID", ge=0, le=2**31 - 1, description="Go on after this event.")
]


@router.get(
    "/events",
    summary="Follow a job",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "Server-sent events, numbered from 1; the stream ends with the run.",
            "content": {
                EventSourceResponse.media_type: {
                    "schema": {"type": "string"},
                    "example": _EXAMPLE,
                }
            },
        },
        204: {"description": "The run has ended and nothing comes after Last-Event-ID."},
        **problems(ErrorCode.JOB_NOT_FOUND, ErrorCode.INVALID_REQUEST),
    },
)
async def stream_job_events(
    account: CurrentAccount, services: TheServices, job_id: JobId, last_event_id: LastEventId = 0
) -> Response:
    """What has happened to a job and what happens, each event once, resumable by its number."""
    if await services.events.is_over(account.id, job_id, after=last_event_id):
        # 204 tells an EventSource to stop connecting again.
        return Response(status_code=204)
    return EventSourceResponse(
        _frames(services, account.id, job_id, after=last_event_id),
        headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
    )


async def _frames(
    services: Services, account_id: UUID, job_id: UUID, *, after: int
) -> AsyncGenerator[bytes]:
    async with aclosing(services.events.follow(account_id, job_id, after=after)) as events:
        async for event in events:
            yield KEEPALIVE_COMMENT if event is None else _frame(event)


def _frame(event: JobEvent) -> bytes:
    data = {
        **_public(event.data),
        "job_id": str(event.job_id),
        "seq": event.seq,
        "at": event.at.isoformat().replace("+00:00", "Z"),
        "type": event.type.value,
    }
    return format_sse_event(data_str=json.dumps(data), event=event.type.value, id=str(event.seq))


def _public(data: Mapping[str, Any]) -> dict[str, Any]:
    """An error as the job itself shows it."""
    if (error := data.get("error")) is None:
        return dict(data)
    return {**data, "error": JobErrorResponse.of(error).model_dump()}
