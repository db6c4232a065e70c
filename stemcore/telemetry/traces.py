"""Traces: one for each submission, from the request to every call of the inference server.

Context travels in W3C headers: of requests, of messages, in the job's row, in gRPC metadata.
"""

import asyncio
import logging
import os
import socket
import threading
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Self

import requests
import structlog
from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
from opentelemetry.trace import NoOpTracer, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from pydantic import Field

from stemcore.settings import SettingsSection
from stemcore.telemetry.context import current_request_id, is_plain_request_id
from stemcore.telemetry.logs import Seldom

REQUEST_ID = "x-request-id"
SHUTDOWN_TIMEOUT_S = 3.0

_EXPORT_EVERY_S = 1.0
_COMPLAIN_EVERY_S = 60.0
_propagator = TraceContextTextMapPropagator()


class TraceSettings(SettingsSection):
    """Where spans are sent, by OTLP over HTTP; without an `endpoint` none are made.

    `sampling_ratio` is the share of the traces begun here that are kept; who sends a `traceparent`
    has decided already. `service_name` and `instance_id` tell processes apart.
    """

    endpoint: str | None = Field(default=None, pattern=r"^https?://")
    sampling_ratio: float = Field(default=1.0, ge=0, le=1)
    service_name: str | None = None
    instance_id: str | None = None
    export_timeout_s: float = Field(default=2.0, gt=0, le=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracing:
    """A process' source of spans; leaving the block sends what is left, within bounds."""

    tracer: Tracer
    provider: TracerProvider | None = None

    @classmethod
    def of(cls, settings: TraceSettings, *, service: str) -> "Tracing":
        """Without an endpoint, a tracer whose spans cost nothing."""
        if settings.endpoint is None:
            return cls(tracer=NoOpTracer())
        provider = TracerProvider(
            resource=_resource(settings, service=service),
            sampler=ParentBasedTraceIdRatio(settings.sampling_ratio),
            shutdown_on_exit=False,
        )
        provider.add_span_processor(
            BatchSpanProcessor(
                _exporter(settings.endpoint, timeout_s=settings.export_timeout_s),
                schedule_delay_millis=1000 * _EXPORT_EVERY_S,
            )
        )
        return cls(tracer=provider.get_tracer("stemyard"), provider=provider)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.provider is not None:
            await _ended(self.provider)


def _resource(settings: TraceSettings, *, service: str) -> Resource:
    return Resource.create(
        {
            "service.name": settings.service_name or f"stemyard-{service}",
            "service.instance.id": settings.instance_id or f"{socket.gethostname()}-{os.getpid()}",
        }
    )


def _exporter(endpoint: str, *, timeout_s: float) -> OTLPSpanExporter:
    # Its own lines are several for every second that a collector is away.
    logging.getLogger(OTLPSpanExporter.__module__).addFilter(Seldom(every_s=_COMPLAIN_EVERY_S))
    session = requests.Session()
    session.trust_env = False
    return OTLPSpanExporter(
        endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=timeout_s, session=session
    )


async def _ended(provider: TracerProvider) -> None:
    """A collector that hangs may keep a thread busy, but nobody waits for it."""
    thread = threading.Thread(target=provider.shutdown, name="end of tracing", daemon=True)
    thread.start()
    await asyncio.to_thread(thread.join, SHUTDOWN_TIMEOUT_S)


def trace_headers() -> dict[str, str]:
    """The current trace context as W3C headers; empty outside of any trace."""
    headers: dict[str, str] = {}
    _propagator.inject(headers)
    return headers


def carrier() -> dict[str, str]:
    """The current trace context and request id: headers for a message, a column for a job."""
    request_id = current_request_id()
    return {**trace_headers(), **({REQUEST_ID: request_id} if request_id else {})}


def context_of(carrier: Mapping[str, str]) -> Context:
    """The trace context in headers of lower case; an empty one where they are not sound."""
    return _propagator.extract(carrier, context=Context())


@contextmanager
def continued(carrier: Mapping[str, str]) -> Generator[None]:
    """Go on where `carrier()` was called: its trace, and its request id in the logs."""
    request_id = carrier.get(REQUEST_ID, "")
    with ExitStack() as stack:
        token = otel_context.attach(context_of(carrier))
        stack.callback(otel_context.detach, token)
        if is_plain_request_id(request_id):
            stack.enter_context(structlog.contextvars.bound_contextvars(request_id=request_id))
        yield
