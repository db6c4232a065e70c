"""Routes of downloads."""

from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse

from gateway.dependencies import CurrentAccount, JobId, TheServices
from gateway.openapi import problems
from gateway.results.byte_range import parse_range
from gateway.results.file_names import content_disposition
from stemcore.errors import ErrorCode
from stemcore.jobs import ResultFile

router = APIRouter(prefix="/v1/jobs/{job_id}", tags=["results"])

# A retry may replace results, so caches ask again; the entity tag makes that cheap.
_CACHING = "private, no-cache"

StemName = Annotated[str, Path(max_length=100, examples=["drums"])]
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_ARCHIVE_HEADERS = {
    name: {"schema": {"type": "string"}} for name in ("Content-Disposition", "Content-Length")
}
_HEADERS = _ARCHIVE_HEADERS | {
    name: {"schema": {"type": "string"}} for name in ("ETag", "Accept-Ranges")
}
_AUDIO = dict.fromkeys(("audio/wav", "audio/flac"), _BINARY)
_STEM_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file.", "headers": _HEADERS, "content": _AUDIO},
    206: {"description": "The range of it that was asked for.", "content": _AUDIO},
    307: {
        "description": "It is at this address for a while; only where the service is set up so.",
        "headers": {"Location": {"schema": {"type": "string", "format": "uri"}}},
    },
    304: {"description": "The caller's copy is still good."},
    **problems(
        ErrorCode.JOB_NOT_FOUND,
        ErrorCode.STEM_NOT_FOUND,
        ErrorCode.NOT_FOUND,
        ErrorCode.JOB_NOT_FINISHED,
        ErrorCode.RANGE_NOT_SATISFIABLE,
        ErrorCode.INVALID_REQUEST,
        ErrorCode.STORAGE_UNAVAILABLE,
    ),
}
# HEAD has no body to describe, and is never sent elsewhere.
_HEAD_RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {name: part for name, part in response.items() if name != "content" or status >= 400}
    for status, response in _STEM_RESPONSES.items()
    if isinstance(status, int) and status != 307
}


@router.get(
    "/stems/{stem}",
    summary="Download a stem",
    response_class=StreamingResponse,
    responses=_STEM_RESPONSES,
)
async def get_stem(
    request: Request,
    account: CurrentAccount,
    services: TheServices,
    job_id: JobId,
    stem: StemName,
    range_: Annotated[str | None, Header(alias="Range", examples=["bytes=0-1023"])] = None,
    if_range: Annotated[str | None, Header()] = None,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """The file, or one range of it; `If-Range` and `If-None-Match` compare its entity tag.

    A service may answer with a redirect to its object store instead.
    """
    name, result = await services.results.stem(account.id, job_id, stem)
    headers = _headers(name, result)
    if _matches(if_none_match, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    current = if_range is None or if_range == headers["ETag"]
    wanted = parse_range(range_ if current else None, size_bytes=result.size_bytes)
    headers["Content-Length"] = str(wanted.length if wanted else result.size_bytes)
    if wanted:
        headers["Content-Range"] = wanted.content_range
    status = 206 if wanted else 200
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=result.content_type)
    address = services.results.address(result, name=name)
    if address is not None:
        return RedirectResponse(address, headers={"Cache-Control": "no-store"})
    return StreamingResponse(
        services.results.read(result, wanted),
        status_code=status,
        headers=headers,
        media_type=result.content_type,
    )


router.add_api_route(
    "/stems/{stem}",
    get_stem,
    methods=["HEAD"],
    name="head_stem",
    summary="Look at a stem without downloading it",
    response_class=Response,
    responses=_HEAD_RESPONSES,
)


@router.get(
    "/archive",
    summary="Download all stems",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "A ZIP of all results, not compressed.",
            "headers": _ARCHIVE_HEADERS,
            "content": {"application/zip": _BINARY},
        },
        **problems(
            ErrorCode.JOB_NOT_FOUND,
            ErrorCode.STEM_NOT_FOUND,
            ErrorCode.NOT_FOUND,
            ErrorCode.JOB_NOT_FINISHED,
            ErrorCode.STORAGE_UNAVAILABLE,
        ),
    },
)
async def get_archive(
    account: CurrentAccount, services: TheServices, job_id: JobId
) -> StreamingResponse:
    """One ZIP, streamed as it is made; its length is known from the start."""
    name, archive = await services.results.archive(account.id, job_id)
    return StreamingResponse(
        archive.chunks(),
        media_type="application/zip",
        headers={
            "Content-Disposition": content_disposition(name),
            "Content-Length": str(archive.size_bytes),
            "Cache-Control": _CACHING,
        },
    )


def _headers(name: str, result: ResultFile) -> dict[str, str]:
    return {
        "ETag": f'"{result.sha256}"',
        "Accept-Ranges": "bytes",
        "Content-Disposition": content_disposition(name),
        "Cache-Control": _CACHING,
    }


def _matches(header: str | None, etag: str) -> bool:
    tags = [tag.strip().removeprefix("W/") for tag in (header or "").split(",")]
    return etag in tags or tags == ["*"]
