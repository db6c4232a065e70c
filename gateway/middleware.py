"""What wraps every request: its id, its log line, its last resort, its limits."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from time import perf_counter
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.problems import problem_response, unexpected_problem
from stemcore.errors import ErrorCode

REQUEST_ID = "X-Request-ID"

# Whatever a caller sends goes into logs and headers, so only plain names are taken over.
_SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_QUIET_PREFIX = "/healthz/"
_CLIENT_CLOSED_REQUEST = 499

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
    """Gives each request an id, logs it once, and answers what nothing else answered."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope))
        scope.setdefault("state", {})["request_id"] = request_id
        response = _Response(send, request_id=request_id)
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            began = perf_counter()
            try:
                await self._answer(scope, receive, response)
            finally:
                _log_access(scope, response, duration_s=perf_counter() - began)

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
    return given if _SANE_REQUEST_ID.fullmatch(given) else uuid4().hex


def _log_access(scope: Scope, response: _Response, *, duration_s: float) -> None:
    if scope["path"].startswith(_QUIET_PREFIX) and response.status == HTTPStatus.OK:
        return
    route = scope.get("route")
    _log.info(
        "http_request",
        method=scope["method"],
        path=scope["path"],
        route=getattr(route, "path", None),
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
