"""What OpenAPI says of every route alike: its errors, its name, its way to sign in."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi.routing import APIRoute
from pydantic import BaseModel

from gateway.problems import MEDIA_TYPE, STATUS_BY_CODE, Problem
from stemcore.errors import ErrorCode

Responses = dict[int | str, dict[str, Any]]

DESCRIPTION = """
Music in, stems out. Send a song to `POST /v1/jobs`, follow it with `GET /v1/jobs/{job_id}` or its
event stream, download the stems.

Every error is `application/problem+json` (RFC 9457) with a stable `error_code`. Times are RFC 3339
in UTC, durations are seconds, ids are opaque and sort by time.
"""

TAGS: list[dict[str, Any]] = [
    {"name": "accounts", "description": "Register, sign in, see who you are."},
    {"name": "jobs", "description": "Submit songs and follow them."},
    {"name": "results", "description": "Download stems."},
    {"name": "models", "description": "What songs can be separated with."},
    {"name": "health", "description": "Whether the service and what it needs are there."},
]

_PROTECTED = (
    ErrorCode.INVALID_TOKEN,
    ErrorCode.TOKEN_EXPIRED,
    ErrorCode.SERVICE_UNAVAILABLE,
)


def problems(*codes: ErrorCode, protected: bool = True) -> Responses:
    """The error responses of a route that can answer with `codes`."""
    every = (*codes, *(_PROTECTED if protected else ()))
    statuses = sorted({STATUS_BY_CODE[code] for code in every})
    return {
        status.value: _problem_response(status, [c for c in every if STATUS_BY_CODE[c] == status])
        for status in statuses
    }


def _problem_response(status: HTTPStatus, codes: Iterable[ErrorCode]) -> dict[str, Any]:
    examples = {code.value: {"value": _example(code, status)} for code in dict.fromkeys(codes)}
    return {
        "description": f"{status.phrase}: {', '.join(f'`{code}`' for code in examples)}",
        "content": {
            MEDIA_TYPE: {
                "schema": schema_reference(Problem),
                "examples": examples,
            }
        },
    }


def _example(code: ErrorCode, status: HTTPStatus) -> Mapping[str, Any]:
    sentence = f"{code.replace('_', ' ').capitalize()}."
    return {
        "type": f"urn:stemyard:error:{code}",
        "title": status.phrase,
        "status": status.value,
        "detail": sentence,
        "instance": "/v1/...",
        "error_code": code.value,
        "message": sentence,
        "details": {},
        "request_id": "0f6f2a8c5d7b4f0c9a1e3b5d7f9a1c3e",
    }


def operation_id(route: APIRoute) -> str:
    """The function's name: unique by a test, stable for generated clients."""
    return route.name


def complete(schema: dict[str, Any], *models: type[BaseModel]) -> dict[str, Any]:
    """Put the schemas of `models` in, and take FastAPI's own validation error out."""
    schemas = schema.setdefault("components", {}).setdefault("schemas", {})
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    for path in schema["paths"].values():
        for operation in path.values():
            _drop_foreign_error(operation["responses"])
    for model in models:
        own = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(own.pop("$defs", {}))
        schemas[model.__name__] = own
    return schema


def _drop_foreign_error(responses: dict[str, Any]) -> None:
    """FastAPI adds a 422 of its own shape to every route that has a parameter."""
    content = responses.get("422", {}).get("content", {})
    if "application/json" in content:
        del responses["422"]


def schema_reference(model: type[BaseModel]) -> dict[str, str]:
    """A reference to the schema of a model that FastAPI does not see by itself."""
    return {"$ref": f"#/components/schemas/{model.__name__}"}
