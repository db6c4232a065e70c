"""Runs as spans, figures and log lines."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic

from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer
from structlog.contextvars import bound_contextvars

from orchestrator.claims import Claim
from orchestrator.dispatch import DispatchPath
from orchestrator.metrics import OrchestratorMetrics
from orchestrator.watch import Ending, Stage
from stemcore.bus.port import Arrival, Position
from stemcore.errors import InvalidInput
from stemcore.jobs import JobStatus
from stemcore.messages import JobRequested
from stemcore.telemetry.heartbeats import Heartbeats
from stemcore.telemetry.traces import continued, trace_headers

# Whoever takes longer for one message, or one sweep, is taken for stuck.
INTAKE_LIMIT_S = 120.0
SWEEP_LIMIT_S = 600.0

_STATUS_AFTER = {
    Ending.SUCCEEDED: JobStatus.SUCCEEDED,
    Ending.FAILED: JobStatus.FAILED,
    Ending.BACKED_OFF: JobStatus.QUEUED,
    Ending.GIVEN_BACK: JobStatus.QUEUED,
}
_BAD = frozenset({Ending.FAILED, Ending.BACKED_OFF, Ending.LOST, Ending.UNKNOWN})


class Telemetry:
    """A RunWatch, IntakeWatch, SweepWatch and CallWatch.

    Every run of a job, whoever has it, is a span of the trace that the job was submitted in.
    """

    def __init__(
        self,
        tracer: Tracer,
        metrics: OrchestratorMetrics,
        heartbeats: Heartbeats,
        *,
        worker: str,
        engine: str,
    ) -> None:
        self._tracer = tracer
        self._metrics = metrics
        self._heartbeats = heartbeats
        self._worker = worker
        self._engine = engine

    @contextmanager
    def run(self, claim: Claim) -> Generator["TelemetryRun"]:
        """See RunWatch."""
        self._metrics.job_transitions.labels(JobStatus.RUNNING.value).inc()
        self._metrics.separation_file_size_bytes.observe(claim.source_bytes)
        ids = {"job_id": str(claim.job_id), "account_id": str(claim.account_id)}
        with (
            continued(claim.trace_context),
            bound_contextvars(**ids, lease_token=claim.lease_token),
            self._tracer.start_as_current_span(
                f"run {claim.kind}",
                kind=SpanKind.CONSUMER,
                attributes={
                    **{f"stemyard.{name}": value for name, value in ids.items()},
                    "stemyard.lease_token": claim.lease_token,
                    "stemyard.claims": claim.claims,
                    "stemyard.worker": self._worker,
                },
            ) as span,
        ):
            yield TelemetryRun(span=span, metrics=self._metrics, began=monotonic())

    @contextmanager
    def stage(self, stage: Stage, *, subject: str | None = None) -> Generator[None]:
        """See RunWatch."""
        attributes = {} if subject is None else {"stemyard.subject": subject}
        with self._tracer.start_as_current_span(stage.value, attributes=attributes):
            try:
                yield
            except InvalidInput as error:
                self._decoded(stage, error.code.value)
                raise
            self._decoded(stage, "ok")

    @contextmanager
    def call(self, model: str) -> Generator[dict[str, str]]:
        """A CallWatch of the inference server."""
        began = monotonic()
        with (
            self._metrics.segments_in_flight.track_inprogress(),
            self._tracer.start_as_current_span(
                f"infer {model}",
                kind=SpanKind.CLIENT,
                attributes={
                    "rpc.system": "grpc",
                    "rpc.service": "inference.GRPCInferenceService",
                    "rpc.method": "ModelInfer",
                    "server.address": self._engine,
                    "stemyard.model": model,
                },
            ),
        ):
            yield trace_headers()
        self._metrics.segment_inference_seconds.labels(model).observe(monotonic() - began)

    def dispatched(self, path: DispatchPath) -> None:
        """A job was queued."""
        self._metrics.dispatch.labels(path.value).inc()
        self._metrics.job_transitions.labels(JobStatus.QUEUED.value).inc()

    @contextmanager
    def taking(self, arrival: Arrival) -> Generator[None]:
        """See IntakeWatch."""
        position = arrival.position
        with (
            self._heartbeats.busy(f"intake of {arrival.topic}", within_s=INTAKE_LIMIT_S),
            continued(arrival.headers),
            bound_contextvars(**_ids_in(arrival)),
            self._tracer.start_as_current_span(
                f"take {arrival.topic}",
                kind=SpanKind.CONSUMER,
                attributes={
                    "messaging.destination.name": arrival.topic,
                    **{f"stemyard.{name}": value for name, value in _ids_in(arrival).items()},
                    **({} if position is None else _place(position)),
                },
            ),
        ):
            yield

    def buried(self) -> None:
        """See IntakeWatch."""
        self._metrics.dead_letters.inc()

    @contextmanager
    def sweeping(self) -> Generator[None]:
        """See SweepWatch."""
        with self._heartbeats.busy("sweeper", within_s=SWEEP_LIMIT_S):
            yield

    def expired(self, status: JobStatus) -> None:
        """See SweepWatch."""
        self._metrics.lease_losses.labels("expired").inc()
        self._metrics.job_transitions.labels(status.value).inc()

    def _decoded(self, stage: Stage, code: str) -> None:
        if stage is Stage.DECODE:
            self._metrics.decode_outcomes.labels(code).inc()


def _ids_in(arrival: Arrival) -> dict[str, str]:
    match arrival.message:
        case JobRequested() as request:
            return {"job_id": str(request.job_id), "account_id": str(request.account_id)}
        case _:
            return {}


def _place(position: Position) -> dict[str, str | int]:
    return {
        "messaging.system": "kafka",
        "messaging.destination.partition.id": str(position.partition),
        "messaging.kafka.offset": position.offset,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetryRun:
    """A WatchedRun."""

    span: Span
    metrics: OrchestratorMetrics
    began: float

    def ended(self, ending: Ending) -> None:
        """See WatchedRun."""
        self.metrics.separation_duration_seconds.labels(ending.value).observe(
            monotonic() - self.began
        )
        if ending in _STATUS_AFTER:
            self.metrics.job_transitions.labels(_STATUS_AFTER[ending].value).inc()
        if ending is Ending.LOST:
            self.metrics.lease_losses.labels("stale").inc()
        self.span.set_attribute("stemyard.ending", ending.value)
        if ending in _BAD:
            self.span.set_status(StatusCode.ERROR, ending.value)
