"""Context from process to process, and a collector that may be anything but there."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager

import pytest
import structlog
from opentelemetry import trace

from stemcore.telemetry.traces import TraceSettings, Tracing, carrier, continued, trace_headers
from stemyard.stack.waiting import until
from tests.servers.otlp import OtlpSink, otlp_sink

COLLECTED_WITHIN_S = 20.0
ENDED_WITHIN_S = 30.0
MANY_SPANS = 5000
SAMPLED = 1


@pytest.fixture
def sink() -> Generator[OtlpSink]:
    with otlp_sink() as sink:
        yield sink


@asynccontextmanager
async def tracing_to(sink: OtlpSink, *, ratio: float = 1.0) -> AsyncGenerator[Tracing]:
    settings = TraceSettings(endpoint=sink.endpoint, sampling_ratio=ratio, instance_id="one")
    async with Tracing.of(settings, service="door") as tracing:
        yield tracing


async def collected(sink: OtlpSink, *, spans: int) -> None:
    async def is_there() -> bool:
        return len(sink.spans) >= spans

    await until(is_there, timeout_s=COLLECTED_WITHIN_S)


def current_trace_id() -> int:
    return trace.get_current_span().get_span_context().trace_id


async def test_a_carrier_continues_trace_and_request_elsewhere(sink: OtlpSink) -> None:
    async with tracing_to(sink) as tracing:
        with (
            structlog.contextvars.bound_contextvars(request_id="r-1"),
            tracing.tracer.start_as_current_span("request"),
        ):
            sent = carrier()
        assert carrier() == {}
        with continued(sent):
            assert carrier() == sent
            with tracing.tracer.start_as_current_span("work"):
                assert carrier()["traceparent"] != sent["traceparent"]
        assert carrier() == {}
    await collected(sink, spans=2)
    work, request = sorted(sink.spans, key=lambda span: span.name, reverse=True)
    assert work.parent_id == request.span_id
    assert work.trace_id == request.trace_id
    assert {span.service for span in sink.spans} == {"stemyard-door"}
    assert {span.instance for span in sink.spans} == {"one"}


async def test_an_empty_carrier_inherits_nothing(sink: OtlpSink) -> None:
    async with tracing_to(sink) as tracing:
        with tracing.tracer.start_as_current_span("outer"):
            outer = current_trace_id()
            with continued({}):
                assert current_trace_id() == 0
            assert current_trace_id() == outer


@pytest.mark.parametrize(
    "headers",
    [
        {"traceparent": "00-zz-yy-01", "x-request-id": "a b"},
        {"traceparent": "0" * 4000, "x-request-id": 'x"} {"event": "forged"}'},
        {"traceparent": "", "x-request-id": "n" * 65},
        {"x-request-id": "line\nbreak"},
    ],
)
async def test_headers_that_are_not_sound_are_left_alone(headers: dict[str, str]) -> None:
    with continued(headers):
        assert carrier() == {}


async def test_who_sends_a_trace_decides_whether_it_is_kept(sink: OtlpSink) -> None:
    kept, dropped = "a" * 32, "b" * 32
    async with tracing_to(sink, ratio=0.0) as tracing:
        with tracing.tracer.start_as_current_span("ours"):
            assert not int(trace_headers()["traceparent"][-2:], 16) & SAMPLED
        for trace_id, flags in ((dropped, "00"), (kept, "01")):
            with (
                continued({"traceparent": f"00-{trace_id}-{'c' * 16}-{flags}"}),
                tracing.tracer.start_as_current_span("theirs"),
            ):
                pass
    await collected(sink, spans=1)
    assert [span.trace_id for span in sink.spans] == [kept]


async def test_without_an_endpoint_a_callers_trace_still_passes_through() -> None:
    sent = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}
    async with Tracing.of(TraceSettings(), service="door") as tracing:
        assert tracing.provider is None
        with continued(sent), tracing.tracer.start_as_current_span("work") as span:
            assert not span.is_recording()
            assert trace_headers() == sent


@contextmanager
def silent_server() -> Generator[str]:
    """Takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


async def test_a_collector_that_hangs_stops_nobody() -> None:
    with silent_server() as endpoint:
        async with asyncio.timeout(ENDED_WITHIN_S):
            settings = TraceSettings(endpoint=endpoint, export_timeout_s=0.5)
            async with Tracing.of(settings, service="door") as tracing:
                for _ in range(MANY_SPANS):
                    with tracing.tracer.start_as_current_span("work"):
                        pass


async def test_a_collector_that_is_away_stops_nobody(unused_tcp_port: int) -> None:
    endpoint = f"http://127.0.0.1:{unused_tcp_port}"
    async with asyncio.timeout(ENDED_WITHIN_S):
        async with Tracing.of(TraceSettings(endpoint=endpoint), service="door") as tracing:
            with tracing.tracer.start_as_current_span("work"):
                pass
