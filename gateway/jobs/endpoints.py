"""Routes of jobs."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response

from gateway.dependencies import CurrentAccount, JobId, TheServices
from gateway.jobs.cursor import decode_cursor
from gateway.jobs.form import too_large, unstalled
from gateway.jobs.job import JobFilter
from gateway.jobs.multipart import MEDIA_TYPE, MultipartReader
from gateway.jobs.schemas import JobListResponse, JobResponse, SubmissionForm
from gateway.openapi import problems, schema_reference
from stemcore.errors import ErrorCode
from stemcore.jobs import JobStatus

_FORM_OVERHEAD_BYTES = 1 << 20

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

_SUBMISSION: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {MEDIA_TYPE: {"schema": schema_reference(SubmissionForm)}},
    }
}
_SUBMISSION_ERRORS = (
    ErrorCode.EMPTY_FILE,
    ErrorCode.UNSUPPORTED_FORMAT,
    ErrorCode.PLAYLIST_NOT_ALLOWED,
    ErrorCode.UNREADABLE_AUDIO,
    ErrorCode.MALFORMED_CONTAINER,
    ErrorCode.AUDIO_TRUNCATED,
    ErrorCode.UNSUPPORTED_CODEC,
    ErrorCode.SAMPLE_RATE_NOT_SUPPORTED,
    ErrorCode.TOO_MANY_CHANNELS,
    ErrorCode.FORMAT_CHANGES_MIDWAY,
    ErrorCode.NO_AUDIO_STREAM,
    ErrorCode.NO_SAMPLES,
    ErrorCode.INVALID_SAMPLES,
    ErrorCode.AUDIO_TOO_LONG,
    ErrorCode.AUDIO_TOO_COMPLEX,
    ErrorCode.DECODE_TIMEOUT,
    ErrorCode.FILE_TOO_LARGE,
    ErrorCode.REQUEST_TIMEOUT,
    ErrorCode.UNSUPPORTED_MEDIA_TYPE,
    ErrorCode.UNKNOWN_MODEL,
    ErrorCode.MODEL_REFUSED,
    ErrorCode.UNKNOWN_STEM,
    ErrorCode.UNKNOWN_PRESET,
    ErrorCode.PRESET_UNAVAILABLE,
    ErrorCode.INVALID_REQUEST,
    ErrorCode.IDEMPOTENCY_CONFLICT,
    ErrorCode.TOO_MANY_JOBS,
    ErrorCode.ENGINE_UNAVAILABLE,
    ErrorCode.STORAGE_UNAVAILABLE,
    ErrorCode.DECODER_UNAVAILABLE,
    ErrorCode.SCRATCH_FULL,
)

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="Repeating a submission with the same key gives the first answer again.",
    ),
]


@router.post(
    "",
    status_code=202,
    summary="Submit a song",
    openapi_extra=_SUBMISSION,
    responses={
        202: {
            "description": "Accepted, and durable.",
            "headers": {
                "Location": {"description": "The job.", "schema": {"type": "string"}},
                "Idempotency-Replayed": {
                    "description": "`true` where an earlier request was repeated.",
                    "schema": {"type": "string"},
                },
            },
        },
        **problems(*_SUBMISSION_ERRORS),
    },
)
async def create_job(
    request: Request,
    response: Response,
    account: CurrentAccount,
    services: TheServices,
    idempotency_key: IdempotencyKey = None,
) -> JobResponse:
    """Send the song as the field `file` of a multipart form, with any other fields beside it.

    The file is looked into before the answer: what is no audio is refused at once.
    """
    limits, http = services.settings.limits, services.settings.http
    _refuse_hopeless(request, max_bytes=limits.upload_bytes)
    body = unstalled(request.stream(), timeout_s=http.upload_stall_timeout_s)
    reader = MultipartReader(body, content_type=request.headers.get("content-type", ""))
    submitted = await services.submission.submit(
        account.id, reader.parts(), idempotency_key=idempotency_key
    )
    response.headers["Location"] = f"/v1/jobs/{submitted.job.id}"
    if submitted.replayed:
        response.headers["Idempotency-Replayed"] = "true"
    return JobResponse.as_accepted(submitted.job)


@router.get(
    "",
    summary="List the caller's jobs, newest first",
    responses=problems(ErrorCode.INVALID_REQUEST),
)
async def list_jobs(
    account: CurrentAccount,
    services: TheServices,
    status: JobStatus | None = None,
    model: Annotated[str | None, Query(max_length=200, pattern=r"^[^\x00]*$")] = None,
    cursor: Annotated[
        str | None, Query(max_length=64, description="`next_cursor` of the page before.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> JobListResponse:
    """A page of jobs; `next_cursor` leads to the next one."""
    wanted = JobFilter(
        status=status, model=model, before=decode_cursor(cursor) if cursor else None, limit=limit
    )
    return JobListResponse.of(await services.jobs.list(account.id, wanted))


@router.get("/{job_id}", summary="Show a job", responses=problems(ErrorCode.JOB_NOT_FOUND))
async def get_job(account: CurrentAccount, services: TheServices, job_id: JobId) -> JobResponse:
    """Status, progress, results, and where the time went."""
    return JobResponse.of(await services.jobs.get(account.id, job_id))


@router.post(
    "/{job_id}/cancel",
    summary="Cancel a job",
    responses=problems(ErrorCode.JOB_NOT_FOUND, ErrorCode.JOB_FINISHED),
)
async def cancel_job(account: CurrentAccount, services: TheServices, job_id: JobId) -> JobResponse:
    """Stop a job that has not ended; cancelling it twice is no error."""
    return JobResponse.of(await services.jobs.cancel(account.id, job_id))


@router.delete(
    "/{job_id}",
    status_code=204,
    summary="Delete a job",
    responses=problems(ErrorCode.JOB_NOT_FOUND),
)
async def delete_job(account: CurrentAccount, services: TheServices, job_id: JobId) -> None:
    """Forget a job with its song and stems; one that runs is cancelled first."""
    await services.jobs.delete(account.id, job_id)


def _refuse_hopeless(request: Request, *, max_bytes: int) -> None:
    """Refuse by the announced length alone; the form around the file may take a little more."""
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > max_bytes + _FORM_OVERHEAD_BYTES:
        raise too_large(max_bytes)
