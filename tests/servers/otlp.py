"""A collector of spans that speaks OTLP over HTTP, for processes told to send theirs to it."""

import gzip
import json
import threading
from base64 import b64encode
from collections import defaultdict
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

IDLE_LIMIT_S = 5.0
_IDS = {"traceId", "spanId", "parentSpanId"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectedSpan:
    """One span, and the process that sent it; ids in hexadecimal, no parent is an empty one."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    service: str
    instance: str
    failed: bool
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class OtlpSink:
    """What has come in so far."""

    endpoint: str
    spans: list[CollectedSpan] = field(default_factory=list)

    def trace(self, trace_id: str) -> "Trace":
        return Trace(spans=[span for span in list(self.spans) if span.trace_id == trace_id])


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """The spans of one trace as a tree."""

    spans: list[CollectedSpan]

    def named(self, name: str) -> list[CollectedSpan]:
        return [span for span in self.spans if span.name == name]

    def one(self, name: str) -> CollectedSpan:
        (span,) = self.named(name)
        return span

    def children(self, parent: CollectedSpan) -> dict[str, list[CollectedSpan]]:
        """By name."""
        found: defaultdict[str, list[CollectedSpan]] = defaultdict(list)
        for span in self.spans:
            if span.parent_id == parent.span_id:
                found[span.name].append(span)
        return dict(found)


@contextmanager
def otlp_sink() -> Generator[OtlpSink]:
    sink_spans: list[CollectedSpan] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = IDLE_LIMIT_S

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            is_json = self.headers["Content-Type"].startswith("application/json")
            sink_spans.extend(_spans(_from_json(body) if is_json else _from_protobuf(body)))
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield OtlpSink(endpoint=f"http://127.0.0.1:{server.server_port}", spans=sink_spans)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _from_protobuf(body: bytes) -> ExportTraceServiceRequest:
    return ExportTraceServiceRequest.FromString(body)


def _from_json(body: bytes) -> ExportTraceServiceRequest:
    """OTLP writes ids in hexadecimal, where protobuf's own mapping has base64."""

    def ids_in_base64(pairs: dict[str, Any]) -> dict[str, Any]:
        for name in _IDS & pairs.keys():
            pairs[name] = b64encode(bytes.fromhex(pairs[name])).decode()
        return pairs

    document = json.loads(body, object_hook=ids_in_base64)
    return ParseDict(document, ExportTraceServiceRequest(), ignore_unknown_fields=True)


def _spans(request: ExportTraceServiceRequest) -> Iterator[CollectedSpan]:
    for group in request.resource_spans:
        resource = _attributes(group.resource.attributes)
        for scope in group.scope_spans:
            for span in scope.spans:
                yield CollectedSpan(
                    name=span.name,
                    kind=span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent_id=span.parent_span_id.hex(),
                    service=resource.get("service.name", ""),
                    instance=resource.get("service.instance.id", ""),
                    failed=span.status.code == span.status.STATUS_CODE_ERROR,
                    attributes=_attributes(span.attributes),
                )


def _attributes(pairs: Any) -> dict[str, Any]:
    def value(pair: KeyValue) -> Any:
        held: AnyValue = pair.value
        name = held.WhichOneof("value")
        return getattr(held, name) if name else None

    return {pair.key: value(pair) for pair in pairs}
