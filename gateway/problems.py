"""Every error as application/problem+json (RFC 9457), and the one table of their statuses."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, cast

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from gateway.errors import LimitReached
from stemcore.errors import ErrorCode, StemyardError
from stemcore.storage.port import ObjectMissing, StorageError

MEDIA_TYPE = "application/problem+json"

STATUS_BY_CODE: Mapping[ErrorCode, HTTPStatus] = {
    ErrorCode.EMPTY_FILE: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorCode.UNSUPPORTED_FORMAT: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    ErrorCode.PLAYLIST_NOT_ALLOWED: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorCode.UNREADABLE_AUDIO: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorCode.MALFORMED_CONTAINER: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorCode.AUDIO_TRUNCATED: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorCode.UNSUPPORTED_CODEC: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    ErrorCode.SAMPLE_RATE_NOT_SUPPORTED: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorCode.TOO_MANY_CHANNELS: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorCode.FORMAT_CHANGES_MIDWAY: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorCode.NO_AUDIO_STREAM: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorCode.NO_SAMPLES: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorCode.INVALID_SAMPLES: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorCode.AUDIO_TOO_LONG: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorCode.AUDIO_TOO_COMPLEX: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorCode.FILE_TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    ErrorCode.DECODE_TIMEOUT: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorCode.SOURCE_MISSING: HTTPStatus.GONE,
    ErrorCode.SOURCE_DAMAGED: HTTPStatus.GONE,
    ErrorCode.UNKNOWN_MODEL: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorCode.MODEL_REFUSED: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorCode.UNKNOWN_STEM: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorCode.UNSUPPORTED_OPTION: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorCode.UNKNOWN_PRESET: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorCode.PRESET_UNAVAILABLE: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorCode.INVALID_REQUEST: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorCode.REQUEST_TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    ErrorCode.REQUEST_TIMEOUT: HTTPStatus.REQUEST_TIMEOUT,
    ErrorCode.UNSUPPORTED_MEDIA_TYPE: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    ErrorCode.WEAK_PASSWORD: HTTPStatus.UNPROCESSABLE_ENTITY,
    ErrorCode.INVALID_CREDENTIALS: HTTPStatus.UNAUTHORIZED,
    ErrorCode.INVALID_TOKEN: HTTPStatus.UNAUTHORIZED,
    ErrorCode.TOKEN_EXPIRED: HTTPStatus.UNAUTHORIZED,
    ErrorCode.EMAIL_TAKEN: HTTPStatus.CONFLICT,
    ErrorCode.NOT_FOUND: HTTPStatus.NOT_FOUND,
    ErrorCode.JOB_NOT_FOUND: HTTPStatus.NOT_FOUND,
    ErrorCode.STEM_NOT_FOUND: HTTPStatus.NOT_FOUND,
    ErrorCode.MODEL_NOT_FOUND: HTTPStatus.NOT_FOUND,
    ErrorCode.JOB_NOT_FINISHED: HTTPStatus.CONFLICT,
    ErrorCode.JOB_FINISHED: HTTPStatus.CONFLICT,
    ErrorCode.TOO_MANY_JOBS: HTTPStatus.TOO_MANY_REQUESTS,
    ErrorCode.IDEMPOTENCY_CONFLICT: HTTPStatus.CONFLICT,
    ErrorCode.RANGE_NOT_SATISFIABLE: HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
    ErrorCode.METHOD_NOT_ALLOWED: HTTPStatus.METHOD_NOT_ALLOWED,
    ErrorCode.SERVICE_UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorCode.ENGINE_UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorCode.ENGINE_FAILED: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorCode.STORAGE_UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorCode.DECODER_UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorCode.SCRATCH_FULL: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorCode.TOO_MANY_ATTEMPTS: HTTPStatus.CONFLICT,
    ErrorCode.INTERNAL_ERROR: HTTPStatus.INTERNAL_SERVER_ERROR,
}

_CODE_BY_STATUS: Mapping[int, ErrorCode] = {
    404: ErrorCode.NOT_FOUND,
    405: ErrorCode.METHOD_NOT_ALLOWED,
    413: ErrorCode.REQUEST_TOO_LARGE,
    415: ErrorCode.UNSUPPORTED_MEDIA_TYPE,
}

RETRY_AFTER_S = 2

_log = structlog.get_logger(__name__)


class Problem(BaseModel):
    """An error, as RFC 9457 describes problems, with a stable code of ours."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "type": "urn:stemyard:error:job_not_found",
                "title": "Not Found",
                "status": 404,
                "detail": "There is no such job.",
                "instance": "/v1/jobs/019a6d3c-0000-7000-8000-000000000000",
                "error_code": "job_not_found",
                "message": "There is no such job.",
                "details": {},
                "request_id": "019a6d3c6d0a7c1e8c54a4ad6fd7b3f1",
            }
        }
    )

    type: str = Field(description="A URN that names the error code.")
    title: str = Field(description="The status in words.")
    status: int
    detail: str = Field(description="The same sentence as `message`.")
    instance: str = Field(description="The path that was asked for.")
    error_code: ErrorCode = Field(description="Stable: programs may branch on it.")
    message: str = Field(description="A sentence for a person.")
    details: dict[str, Any] = Field(description="Facts about this case.")
    request_id: str = Field(description="Also in the X-Request-ID header and in our logs.")


def problem_response(
    request: Request,
    code: ErrorCode,
    message: str,
    *,
    details: Mapping[str, Any] | None = None,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """The answer for one error."""
    number = status or STATUS_BY_CODE[code]
    problem = Problem(
        type=f"urn:stemyard:error:{code}",
        title=HTTPStatus(number).phrase,
        status=number,
        detail=message,
        instance=request.url.path,
        error_code=code,
        message=message,
        details=dict(details or {}),
        request_id=getattr(request.state, "request_id", ""),
    )
    return JSONResponse(
        problem.model_dump(mode="json"),
        status_code=number,
        headers={**_standard_headers(number), **(headers or {})},
        media_type=MEDIA_TYPE,
    )


def _standard_headers(status: int) -> dict[str, str]:
    if status == HTTPStatus.UNAUTHORIZED:
        return {"WWW-Authenticate": "Bearer"}
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        return {"Retry-After": str(RETRY_AFTER_S)}
    return {}


def install_problem_handlers(app: FastAPI) -> None:
    """Answer every foreseen error of `app` with a problem; the middleware has the others."""
    app.add_exception_handler(StemyardError, _on_stemyard_error)
    app.add_exception_handler(StorageError, _on_storage_error)
    app.add_exception_handler(ObjectMissing, _on_object_missing)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(ClientDisconnect, _on_disconnect)


async def _on_stemyard_error(request: Request, error: Exception) -> Response:
    problem = cast("StemyardError", error)
    if STATUS_BY_CODE[problem.code] >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.warning("request_refused", error_code=problem.code, reason=str(error.__cause__))
    return problem_response(
        request,
        problem.code,
        problem.message,
        details=problem.details,
        headers=_headers_of(problem),
    )


def _headers_of(problem: StemyardError) -> dict[str, str]:
    if isinstance(problem, LimitReached):
        return {"Retry-After": str(problem.retry_after_s)}
    if problem.code is ErrorCode.RANGE_NOT_SATISFIABLE:
        return {"Content-Range": f"bytes */{problem.details['size_bytes']}"}
    return {}


async def _on_storage_error(request: Request, error: Exception) -> Response:
    _log.warning("storage_unavailable", reason=str(error))
    message = "The object store does not answer."
    return problem_response(request, ErrorCode.STORAGE_UNAVAILABLE, message)


async def _on_object_missing(request: Request, error: Exception) -> Response:
    _log.error("object_missing", key=str(error))
    return problem_response(request, ErrorCode.NOT_FOUND, "The file is gone.")


async def _on_invalid_request(request: Request, error: Exception) -> Response:
    errors = cast("Sequence[Mapping[str, Any]]", cast("RequestValidationError", error).errors())
    # `input` and `ctx` stay out: they echo what was sent, passwords too.
    complaints = [
        {"field": ".".join(map(str, item["loc"])), "message": item["msg"]} for item in errors
    ]
    return problem_response(
        request,
        ErrorCode.INVALID_REQUEST,
        "The request is not valid.",
        details={"errors": complaints},
    )


async def _on_http_exception(request: Request, error: Exception) -> Response:
    exception = cast("HTTPException", error)
    code = _CODE_BY_STATUS.get(exception.status_code, ErrorCode.INVALID_REQUEST)
    return problem_response(
        request,
        code,
        _sentence(exception, path=request.url.path),
        status=exception.status_code,
        headers=exception.headers,
    )


def _sentence(exception: HTTPException, *, path: str) -> str:
    if exception.status_code == HTTPStatus.NOT_FOUND:
        return f"There is nothing at {path}."
    if exception.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return "This method is not allowed here."
    return str(exception.detail)


async def _on_disconnect(_request: Request, _error: Exception) -> Response:
    """Nobody is listening; the status is for the access log alone."""
    return Response(status_code=499)


def unexpected_problem(request: Request) -> Response:
    """What a client learns of our own faults: nothing but a request id to quote."""
    message = "Something went wrong on our side."
    return problem_response(request, ErrorCode.INTERNAL_ERROR, message)
