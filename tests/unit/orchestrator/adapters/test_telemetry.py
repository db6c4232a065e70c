"""What is counted and told of runs, messages and sweeps."""

from collections.abc import Mapping
from typing import Any

import pytest
import structlog
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry

from orchestrator.adapters.telemetry import Telemetry
from orchestrator.claims import Claim, Interrupted, Outcome
from orchestrator.dispatch import DispatchPath
from orchestrator.metrics import OrchestratorMetrics
from orchestrator.watch import Ending, Stage, ending_of
from stemcore.bus.port import Arrival, Position
from stemcore.errors import ErrorCode, InvalidInput, LeaseLost, Unavailable
from stemcore.ids import new_id
from stemcore.jobs import JobStatus
from stemcore.messages import JobRequested
from stemcore.telemetry.heartbeats import Heartbeats

TRACE, PARENT = "a" * 32, "b" * 16
CARRIER = {"traceparent": f"00-{TRACE}-{PARENT}-01", "x-request-id": "r-1"}
NO_AUDIO = InvalidInput(ErrorCode.NO_AUDIO_STREAM, "No audio.")
AWAY = Unavailable(ErrorCode.ENGINE_UNAVAILABLE, "Away.")
DONE = Outcome(results=[], ledger={}, source_facts={}, measures={}, warnings=[])


class Bench:
    """A Telemetry with its registry, its collected spans and its heartbeats in reach."""

    def __init__(self) -> None:
        self.now = 0.0
        self.heartbeats = Heartbeats(clock=lambda: self.now)
        self._registry = CollectorRegistry()
        self._collected = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._collected))
        self.telemetry = Telemetry(
            provider.get_tracer("test"),
            OrchestratorMetrics.on(self._registry),
            self.heartbeats,
            worker="w",
            engine="triton:8001",
        )

    def value(self, name: str, **labels: str) -> float:
        return self._registry.get_sample_value(name, labels) or 0.0

    @property
    def spans(self) -> Mapping[str, ReadableSpan]:
        return {span.name: span for span in self._collected.get_finished_spans()}


@pytest.fixture
def bench() -> Bench:
    return Bench()


def claim(**changes: Any) -> Claim:
    values: dict[str, Any] = {
        "job_id": new_id(),
        "account_id": new_id(),
        "kind": "separation",
        "priority": 0,
        "parameters": {},
        "source_key": "k",
        "source_bytes": 1000,
        "source_sha256": None,
        "lease_token": 3,
        "claims": 2,
        "queue_s": 0.0,
        "ledger": {},
        "trace_context": CARRIER,
    }
    return Claim(**(values | changes))


def test_a_run_goes_on_in_the_trace_of_its_job(bench: Bench) -> None:
    held = claim()
    with bench.telemetry.run(held) as run:
        bound = structlog.contextvars.get_contextvars()
        with bench.telemetry.call("tiny") as headers:
            assert headers["traceparent"].startswith(f"00-{TRACE}-")
            assert bench.value("separation_segments_in_flight") == 1
        run.ended(Ending.SUCCEEDED)
    assert bound["request_id"] == "r-1"
    assert bound["job_id"] == str(held.job_id)
    assert bound["account_id"] == str(held.account_id)
    span = bench.spans["run separation"]
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == PARENT
    assert span.status.is_ok or span.status.is_unset
    assert structlog.contextvars.get_contextvars() == {}
    assert bench.value("separation_segments_in_flight") == 0
    assert bench.value("separation_segment_inference_seconds_count", model="tiny") == 1
    assert bench.value("separation_file_size_bytes_sum") == 1000


@pytest.mark.parametrize(
    ("outcome", "last_attempt", "ending", "status"),
    [
        (DONE, False, Ending.SUCCEEDED, JobStatus.SUCCEEDED),
        (NO_AUDIO, False, Ending.FAILED, JobStatus.FAILED),
        (AWAY, False, Ending.BACKED_OFF, JobStatus.QUEUED),
        (AWAY, True, Ending.FAILED, JobStatus.FAILED),
        (RuntimeError("ours"), False, Ending.BACKED_OFF, JobStatus.QUEUED),
        (Interrupted(), False, Ending.GIVEN_BACK, JobStatus.QUEUED),
        (LeaseLost(), False, Ending.LOST, None),
    ],
)
def test_an_ending_counts_as_what_became_of_the_job(
    bench: Bench,
    outcome: Outcome | Exception,
    last_attempt: bool,
    ending: Ending,
    status: JobStatus | None,
) -> None:
    assert ending_of(outcome, last_attempt=last_attempt) is ending
    with bench.telemetry.run(claim()) as run:
        run.ended(ending)
    assert bench.value("separation_duration_seconds_count", outcome=ending.value) == 1
    counted = {s for s in JobStatus if bench.value("job_transitions_total", to=s.value)}
    assert counted == {JobStatus.RUNNING, status} - {None}
    assert bench.value("lease_losses_total", reason="stale") == (ending is Ending.LOST)


def test_decoding_counts_by_its_code(bench: Bench) -> None:
    with bench.telemetry.stage(Stage.FETCH), bench.telemetry.stage(Stage.DECODE):
        pass
    with pytest.raises(InvalidInput), bench.telemetry.stage(Stage.DECODE):
        raise NO_AUDIO
    assert bench.value("decode_outcomes_total", code="ok") == 1
    assert bench.value("decode_outcomes_total", code="no_audio_stream") == 1


def test_a_call_that_fails_is_no_inference_time(bench: Bench) -> None:
    with pytest.raises(Unavailable), bench.telemetry.call("tiny"):
        raise AWAY
    assert not bench.spans["infer tiny"].status.is_ok
    assert bench.value("separation_segment_inference_seconds_count", model="tiny") == 0
    assert bench.value("separation_segments_in_flight") == 0


def test_a_message_is_taken_in_the_trace_it_came_with(bench: Bench) -> None:
    request = JobRequested(event_id=new_id(), job_id=new_id(), kind="k", account_id=new_id())
    arrival = Arrival(
        topic="jobs",
        payload=request.model_dump_json(),
        headers=CARRIER,
        position=Position(partition=4, offset=77),
    )
    with bench.telemetry.taking(arrival):
        bound = structlog.contextvars.get_contextvars()
    assert (bound["request_id"], bound["job_id"]) == ("r-1", str(request.job_id))
    span = bench.spans["take jobs"]
    assert f"{span.context.trace_id:032x}" == TRACE
    assert span.attributes is not None
    assert span.attributes["messaging.kafka.offset"] == 77


def test_a_message_of_nobodys_making_is_taken_too(bench: Bench) -> None:
    with bench.telemetry.taking(Arrival(topic="jobs", payload="nonsense", headers={"k": "v"})):
        bench.telemetry.buried()
    assert bench.spans["take jobs"].parent is None
    assert bench.value("dead_letters_total") == 1


def test_dispatch_and_expiry_are_counted(bench: Bench) -> None:
    bench.telemetry.dispatched(DispatchPath.SWEEP)
    bench.telemetry.expired(JobStatus.FAILED)
    assert bench.value("dispatch_total", path="sweep") == 1
    assert bench.value("job_transitions_total", to="queued") == 1
    assert bench.value("job_transitions_total", to="failed") == 1
    assert bench.value("lease_losses_total", reason="expired") == 1


def test_a_sweep_or_a_message_without_end_is_noticed(bench: Bench) -> None:
    with bench.telemetry.sweeping(), bench.telemetry.taking(Arrival(topic="jobs", payload="")):
        bench.now += 1
        assert bench.heartbeats.silent() == {}
        bench.now += 3600
        assert bench.heartbeats.silent().keys() == {"sweeper", "intake of jobs"}
    assert bench.heartbeats.silent() == {}
