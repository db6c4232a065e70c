"""Who may use which route: the committed answer, which every new route must be added to."""

from collections.abc import Iterator, Mapping
from enum import StrEnum

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

Route = tuple[str, str]


class Access(StrEnum):
    """Public routes say the same to everyone; the others are the owner's alone."""

    PUBLIC = "public"
    OWN_ACCOUNT = "own account"
    OWN_OBJECT = "own object"


ACCESS: Mapping[Route, Access] = {
    ("GET", "/"): Access.PUBLIC,
    ("GET", "/docs"): Access.PUBLIC,
    ("GET", "/docs/start.js"): Access.PUBLIC,
    ("GET", "/docs/{asset}"): Access.PUBLIC,
    ("GET", "/openapi.json"): Access.PUBLIC,
    ("HEAD", "/openapi.json"): Access.PUBLIC,
    ("POST", "/v1/auth/register"): Access.PUBLIC,
    ("POST", "/v1/auth/token"): Access.PUBLIC,
    ("GET", "/v1/models"): Access.PUBLIC,
    ("GET", "/v1/models/{name}"): Access.PUBLIC,
    ("GET", "/v1/presets"): Access.PUBLIC,
    ("GET", "/v1/health"): Access.PUBLIC,
    ("GET", "/healthz/live"): Access.PUBLIC,
    ("GET", "/healthz/ready"): Access.PUBLIC,
    ("GET", "/v1/me"): Access.OWN_ACCOUNT,
    ("GET", "/v1/jobs"): Access.OWN_ACCOUNT,
    ("POST", "/v1/jobs"): Access.OWN_ACCOUNT,
    ("GET", "/v1/jobs/{job_id}"): Access.OWN_OBJECT,
    ("DELETE", "/v1/jobs/{job_id}"): Access.OWN_OBJECT,
    ("POST", "/v1/jobs/{job_id}/cancel"): Access.OWN_OBJECT,
    ("GET", "/v1/jobs/{job_id}/events"): Access.OWN_OBJECT,
    ("GET", "/v1/jobs/{job_id}/stems/{stem}"): Access.OWN_OBJECT,
    ("HEAD", "/v1/jobs/{job_id}/stems/{stem}"): Access.OWN_OBJECT,
    ("GET", "/v1/jobs/{job_id}/archive"): Access.OWN_OBJECT,
}


def routes_with(access: Access) -> list[Route]:
    return [route for route, granted in ACCESS.items() if granted is access]


def routes_of(app: FastAPI) -> Iterator[Route]:
    """Every route there is; what has no methods (a WebSocket, a mounted app) under its kind."""
    for route in iter_route_contexts(app.routes):
        kind = type(route).__name__
        for method in sorted(getattr(route, "methods", None) or {kind}):
            yield method, str(route.path)
