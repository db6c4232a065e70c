"""The operators' port: metrics, and whether the process lives and can work.

It is served by threads, so that it still answers, and says so, when the event loop is stuck.
"""

import json
import threading
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from socketserver import TCPServer, ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIEnvironment

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from pydantic import Field

from stemcore.settings import SettingsSection

# What is missing or stuck, and why; empty when all is well.
Probe = Callable[[], Mapping[str, str]]

_CONNECTION_TIMEOUT_S = 10.0

_log = structlog.get_logger(__name__)


class MetricsSettings(SettingsSection):
    """Where metrics and probes are served; not at all without a port, on a free one with 0."""

    host: str = "127.0.0.1"
    port: int | None = Field(default=None, ge=0, le=65535)


@contextmanager
def metrics_door(
    settings: MetricsSettings, registry: CollectorRegistry, *, live: Probe, ready: Probe
) -> Generator[str | None]:
    """Serve `/metrics`, `/healthz/live` and `/healthz/ready`; yields the address, if any.

    Raises OSError when the port is taken.
    """
    if settings.port is None:
        yield None
        return
    routes = {"/healthz/live": live, "/healthz/ready": ready}
    server = make_server(
        settings.host,
        settings.port,
        _Application(registry, routes),  # pyright: ignore[reportArgumentType]
        server_class=_Server,
        handler_class=_Handler,
    )
    address = f"http://{settings.host}:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    _log.info("metrics_listening", address=address)
    try:
        yield address
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Application:
    """Three routes of WSGI."""

    def __init__(self, registry: CollectorRegistry, probes: Mapping[str, Probe]) -> None:
        self._registry = registry
        self._probes = probes

    def __call__(self, environ: WSGIEnvironment, respond: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/metrics":
            metrics = generate_latest(self._registry)
            return _answer(respond, "200 OK", metrics, content_type=CONTENT_TYPE_LATEST)
        if path in self._probes:
            return _told(self._probes[path](), respond)
        return _answer(respond, "404 Not Found", b"", content_type="text/plain")


def _told(missing: Mapping[str, str], respond: StartResponse) -> Iterable[bytes]:
    document = {"status": "missing" if missing else "ok", "missing": dict(missing)}
    status = "503 Service Unavailable" if missing else "200 OK"
    return _answer(respond, status, json.dumps(document).encode(), content_type="application/json")


def _answer(
    respond: StartResponse, status: str, body: bytes, *, content_type: str
) -> Iterable[bytes]:
    respond(status, [("Content-Type", content_type), ("Content-Length", str(len(body)))])
    return [body]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def server_bind(self) -> None:
        # The inherited one asks the name service for this machine's name, and waits for it.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "stemyard", self.socket.getsockname()[1]
        self.setup_environ()


class _Handler(WSGIRequestHandler):
    timeout = _CONNECTION_TIMEOUT_S

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Scrapes are no events."""
