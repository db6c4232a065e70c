"""What wraps every request: its id, its log line, its last resort, its limits."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from time import perf_counter
from uuid import uuid4

import structlog
from opentelemetry.trace import INVALID_SPAN, Span, SpanKind, StatusCode, Tracer
from prometheus_client import Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.problems import problem_response, unexpected_problem
from stemcore.errors import ErrorCode
from stemcore.telemetry.context import is_plain_request_id
from stemcore.telemetry.traces import context_of

REQUEST_ID = "X-Request-ID"

_QUIET_PREFIX = "/healthz/"
_CLIENT_CLOSED_REQUEST = 499
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

SECURITY_HEADERS: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}

_log = structlog.get_logger("gateway.access")


class RequestContext:
    """Gives each request an id and a span, tells of it once, and answers what nothing else did."""

    def __init__(self, app: ASGIApp, *, tracer: Tracer, durations: Histogram) -> None:
        self._app = app
        self._tracer = tracer
        self._durations = durations

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope))
        scope.setdefault("state", {})["request_id"] = request_id
        response = _Response(send, request_id=request_id)
        with (
            structlog.contextvars.bound_contextvars(request_id=request_id),
            self._span(scope) as span,
        ):
            began = perf_counter()
            try:
                await self._answer(scope, receive, response)
            finally:
                self._tell(scope, response, span, duration_s=perf_counter() - began)

    @contextmanager
    def _span(self, scope: Scope) -> Generator[Span]:
        if scope["path"].startswith(_QUIET_PREFIX):
            yield INVALID_SPAN
            return
        with self._tracer.start_as_current_span(
            _method(scope),
            context=context_of(Headers(scope=scope)),
            kind=SpanKind.SERVER,
            attributes={"http.request.method": _method(scope), "url.path": scope["path"]},
        ) as span:
            yield span

    def _tell(self, scope: Scope, response: "_Response", span: Span, *, duration_s: float) -> None:
        status, route = response.status or _CLIENT_CLOSED_REQUEST, _route(scope)
        self._durations.labels(_method(scope), route or "unmatched", str(status)).observe(
            duration_s
        )
        span.set_attribute("http.response.status_code", status)
        if route is not None:
            span.update_name(f"{_method(scope)} {route}")
            span.set_attribute("http.route", route)
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            span.set_status(StatusCode.ERROR)
        _log_access(scope, response, duration_s=duration_s)

    async def _answer(self, scope: Scope, receive: Receive, response: "_Response") -> None:
        try:
            await self._app(scope, receive, response.send)
        except Exception as error:
            _log.error("request_failed", exc_info=error)
            if response.status is not None:
                raise
            await unexpected_problem(Request(scope))(scope, receive, response.send)


class _Response:
    """Watches what is sent, and adds the headers that every response has."""

    def __init__(self, send: Send, *, request_id: str) -> None:
        self._send = send
        self._request_id = request_id
        self.status: int | None = None
        self.body_bytes = 0

    async def send(self, message: Message) -> None:
        """Pass on one message of the response."""
        if message["type"] == "http.response.start":
            self.status = int(message["status"])
            headers = MutableHeaders(scope=message)
            headers[REQUEST_ID] = self._request_id
            for name, value in SECURITY_HEADERS.items():
                headers.setdefault(name, value)
        elif message["type"] == "http.response.body":
            self.body_bytes += len(message.get("body", b""))
        await self._send(message)


def _request_id(headers: Headers) -> str:
    given = headers.get(REQUEST_ID, "")
    return given if is_plain_request_id(given) else uuid4().hex


def _method(scope: Scope) -> str:
    """Anybody can invent methods, and labels are for ever."""
    return scope["method"] if scope["method"] in _METHODS else "OTHER"


def _route(scope: Scope) -> str | None:
    return getattr(scope.get("route"), "path", None)


def _log_access(scope: Scope, response: _Response, *, duration_s: float) -> None:
    if scope["path"].startswith(_QUIET_PREFIX) and response.status == HTTPStatus.OK:
        return
    _log.info(
        "http_request",
        method=scope["method"],
        path=scope["path"],
        route=_route(scope),
        status=response.status or _CLIENT_CLOSED_REQUEST,
        bytes_sent=response.body_bytes,
        duration_s=round(duration_s, 4),
    )


class BodyLimit:
    """Refuses bodies that are larger than any of our JSON or sign-in forms."""

    def __init__(self, app: ASGIApp, *, max_bytes: int, unlimited: frozenset[str]) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._unlimited = unlimited

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"] in self._unlimited:
            await self._app(scope, receive, send)
        elif self._too_large(Headers(scope=scope)):
            message = "The request's body is too large."
            response = problem_response(
                Request(scope),
                ErrorCode.REQUEST_TOO_LARGE,
                message,
                details={"max_bytes": self._max_bytes},
            )
            await response(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _too_large(self, headers: Headers) -> bool:
        # A body of unannounced length has no place here: our small bodies all announce theirs.
        if "transfer-encoding" in headers:
            return True
        length = headers.get("content-length", "0")
        return not length.isdigit() or int(length) > self._max_bytes
