"""The application: routes, middleware and lifespan put together."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypedDict

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.openapi.utils import get_openapi

from gateway import docs_page
from gateway.accounts import endpoints as accounts
from gateway.accounts.schemas import TokenRequest
from gateway.catalogue import endpoints as catalogue
from gateway.composition import Replacements, Services, open_services
from gateway.events import endpoints as events
from gateway.health import endpoints as health
from gateway.jobs import endpoints as jobs
from gateway.jobs.schemas import SubmissionForm
from gateway.lifetime import Lifetime
from gateway.middleware import REQUEST_ID, BodyLimit, RequestContext
from gateway.openapi import DESCRIPTION, TAGS, complete, operation_id
from gateway.problems import Problem, install_problem_handlers
from gateway.results import endpoints as results
from gateway.settings import GatewaySettings
from gateway.telemetry import GatewayTelemetry
from gateway.version import VERSION

MAX_SMALL_BODY_BYTES = 64 * 1024
STREAMED_PATHS = frozenset({"/v1/jobs"})

# What pages of other origins may send us, and read of our answers, beside what every page may.
SENT_FROM_ELSEWHERE = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-None-Match",
    "If-Range",
    "Last-Event-ID",
    "Range",
    REQUEST_ID,
)
SHOWN_ELSEWHERE = (
    "Accept-Ranges",
    "Content-Disposition",
    "Content-Range",
    "ETag",
    "Idempotency-Replayed",
    "Location",
    "Retry-After",
    REQUEST_ID,
)

ROUTERS = (
    accounts.router,
    jobs.router,
    events.router,
    results.router,
    catalogue.router,
    health.router,
    docs_page.router,
)


class State(TypedDict):
    """What the lifespan puts into the state of every request."""

    services: Services


def create_app(
    settings: GatewaySettings, *, lifetime: Lifetime, instead: Replacements | None = None
) -> FastAPI:
    """The gateway; `instead` replaces adapters whose servers a test does not have."""
    telemetry = GatewayTelemetry.of(settings)
    app = FastAPI(
        title="Stemyard",
        version=VERSION,
        summary="Music in, stems out.",
        description=DESCRIPTION,
        openapi_tags=TAGS,
        generate_unique_id_function=operation_id,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan(
            settings, lifetime=lifetime, telemetry=telemetry, instead=instead or Replacements()
        ),
    )
    for router in ROUTERS:
        app.include_router(router)
    install_problem_handlers(app)
    _install_middleware(app, settings, telemetry)
    _install_openapi(app)
    return app


def _lifespan(
    settings: GatewaySettings,
    *,
    lifetime: Lifetime,
    telemetry: GatewayTelemetry,
    instead: Replacements,
) -> Callable[[FastAPI], AbstractAsyncContextManager[State]]:
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[State]:
        async with open_services(
            settings, lifetime=lifetime, telemetry=telemetry, instead=instead
        ) as services:
            yield State(services=services)

    return lifespan


def _install_middleware(
    app: FastAPI, settings: GatewaySettings, telemetry: GatewayTelemetry
) -> None:
    """The last one added is the outermost."""
    app.add_middleware(BodyLimit, max_bytes=MAX_SMALL_BODY_BYTES, unlimited=STREAMED_PATHS)
    if settings.http.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.http.cors_origins,
            allow_methods=["GET", "POST", "DELETE", "HEAD"],
            allow_headers=SENT_FROM_ELSEWHERE,
            expose_headers=SHOWN_ELSEWHERE,
        )
    app.add_middleware(
        RequestContext,
        tracer=telemetry.tracing.tracer,
        durations=telemetry.metrics.http_request_duration_seconds,
    )


def _install_openapi(app: FastAPI) -> None:
    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(
                title=app.title,
                version=app.version,
                summary=app.summary,
                description=app.description,
                routes=app.routes,
                tags=app.openapi_tags,
            )
            app.openapi_schema = complete(schema, Problem, TokenRequest, SubmissionForm)
        return app.openapi_schema

    app.openapi = openapi
