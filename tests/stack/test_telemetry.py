"""What the services tell of themselves, from processes of their own: spans, lines, figures."""

import asyncio
import json
import math
import secrets
from collections.abc import AsyncGenerator, Generator, Iterable, Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psutil
import pytest
import pytest_asyncio
import soundfile
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from stemyard.client import Job, StemyardClient
from stemyard.stack.assembly import Stack
from stemyard.stack.services import GatewayDoor, OrchestratorDoor
from stemyard.stack.waiting import until
from synthesis import song
from tests.servers.otlp import OtlpSink, Trace, otlp_sink
from tests.stack.conftest import finished, killed, signed_in, tiny_full_stack, tiny_stack

NAMES = ("one-machine", "full")
SONG_SECONDS = 20.0
SPANS_LIMIT_S = 60.0
LEASE_S = 3.0
PASSWORD = "a long password 1"

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A job, and the ids its request was sent with."""

    job_id: str
    account_id: str
    trace_id: str
    parent_id: str
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A stack, the collector of its spans, and one job that is finished."""

    stack: Stack
    sink: OtlpSink
    song: Path
    sent: Sent
    job: Job

    @property
    def is_full(self) -> bool:
        return len(self.stack.services.gateways) > 1

    def lines(self, processes: str) -> Iterator[Mapping[str, Any]]:
        """Log lines of all processes whose names match."""
        for log in sorted(self.stack.runtime.logs.glob(f"{processes}.log")):
            for line in log.read_text().splitlines():
                yield json.loads(line)

    def events(self, processes: str, event: str, *, job_id: str) -> list[Mapping[str, Any]]:
        """About the job."""
        return [
            line
            for line in self.lines(processes)
            if line["event"] == event and line.get("job_id") == job_id
        ]


@pytest_asyncio.fixture(
    scope="module", loop_scope="module", params=[tiny_stack, tiny_full_stack], ids=NAMES
)
async def told(
    request: pytest.FixtureRequest, runtimes: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Told]:
    made = song(seed=6, duration_s=SONG_SECONDS)
    path = tmp_path_factory.mktemp("songs") / "song.wav"
    soundfile.write(path, made.mix.T, made.sample_rate_hz, subtype="PCM_16")
    with otlp_sink() as sink, pytest.MonkeyPatch.context() as environment:
        for service in ("GATEWAY", "ORCHESTRATOR"):
            environment.setenv(f"STEMYARD_{service}_TRACES__ENDPOINT", sink.endpoint)
        environment.setenv("STEMYARD_SERVING_TRACE_ENDPOINT", sink.endpoint)
        environment.setenv("STEMYARD_ORCHESTRATOR_LEASE__LENGTH_S", str(LEASE_S))
        async with request.param(runtimes / f"told-{request.param.__name__}") as stack:
            sent = await _send(stack, path, email="told@example.com")
            job = await _done(stack, sent, sink, email="told@example.com")
            yield Told(stack=stack, sink=sink, song=path, sent=sent, job=job)


async def _send(stack: Stack, path: Path, *, email: str) -> Sent:
    trace_id, parent_id, request_id = secrets.token_hex(16), secrets.token_hex(8), f"r-{uuid4()}"
    async with signed_in(stack, email=email) as client:
        token = await client.sign_in(email=email, password=PASSWORD)
    async with httpx.AsyncClient(base_url=stack.gateway.address, timeout=SPANS_LIMIT_S) as http:
        http.headers["Authorization"] = f"Bearer {token}"
        me = await http.get("/v1/me")
        headers = {
            "traceparent": f"00-{trace_id}-{parent_id}-01",
            "X-Request-ID": request_id,
        }
        with path.open("rb") as file:
            answer = await http.post("/v1/jobs", files={"file": ("s.wav", file)}, headers=headers)
    assert answer.status_code == 202, answer.text
    return Sent(
        job_id=answer.json()["id"],
        account_id=me.json()["id"],
        trace_id=trace_id,
        parent_id=parent_id,
        request_id=request_id,
    )


async def _done(stack: Stack, sent: Sent, sink: OtlpSink, *, email: str) -> Job:
    """When the run has been told of, too."""
    async with StemyardClient(stack.gateway.address) as client:
        await client.sign_in(email=email, password=PASSWORD)
        job = await finished(client, await client.job(sent.job_id))

    async def run_told() -> bool:
        return bool(sink.trace(sent.trace_id).named("run separation"))

    await until(run_told, timeout_s=SPANS_LIMIT_S)
    return job


@pytest.fixture
def trace(told: Told) -> Trace:
    return told.sink.trace(told.sent.trace_id)


async def test_the_callers_trace_goes_on_in_the_request(told: Told, trace: Trace) -> None:
    post = trace.one("POST /v1/jobs")
    assert (post.service, post.kind) == ("stemyard-gateway", "server")
    assert post.parent_id == told.sent.parent_id
    assert post.attributes["http.route"] == "/v1/jobs"
    assert post.attributes["http.response.status_code"] == 202
    assert post.attributes["stemyard.job_id"] == told.job.id
    assert post.attributes["stemyard.account_id"] == told.sent.account_id


async def test_the_message_carries_it_to_the_intake(told: Told, trace: Trace) -> None:
    take = trace.one("take stemyard.jobs.v1")
    assert (take.service, take.kind) == ("stemyard-orchestrator", "consumer")
    assert take.parent_id == trace.one("POST /v1/jobs").span_id
    assert take.attributes["stemyard.job_id"] == told.job.id
    assert ("messaging.kafka.offset" in take.attributes) == told.is_full


async def test_the_jobs_row_carries_it_to_the_run(told: Told, trace: Trace) -> None:
    run = trace.one("run separation")
    assert run.service == "stemyard-orchestrator"
    assert run.parent_id == trace.one("POST /v1/jobs").span_id
    assert run.attributes["stemyard.job_id"] == told.job.id
    assert run.attributes["stemyard.account_id"] == told.sent.account_id
    assert run.attributes["stemyard.claims"] == 1
    assert run.attributes["stemyard.ending"] == "succeeded"
    stages = trace.children(run)
    assert {name: len(spans) for name, spans in stages.items()} == {
        "fetch": 1,
        "decode": 1,
        "separate": 1,
        "store": 4,
    }
    stored = {span.attributes["stemyard.subject"] for span in stages["store"]}
    assert stored == {stem.stem for stem in told.job.stems}


async def test_every_call_of_the_engine_is_part_of_it(told: Told, trace: Trace) -> None:
    calls = trace.children(trace.one("separate"))["infer tiny"]
    assert len(calls) == told.job.document["ledger"]["segments"] > 2
    assert calls == trace.named("infer tiny")
    for call in calls:
        assert (call.kind, call.failed) == ("client", False)
        assert call.attributes["rpc.method"] == "ModelInfer"
        assert call.attributes["server.address"] == told.stack.triton.grpc_address


async def test_the_engine_itself_joins_in(told: Told, trace: Trace) -> None:
    """Its exporter loses spans on a busy machine, so not every call may be seen from there."""
    calls = {call.span_id for call in trace.named("infer tiny")}

    async def served() -> bool:
        spans = told.sink.trace(told.sent.trace_id).spans
        return any(s.service == "stemyard-triton" and s.parent_id in calls for s in spans)

    await until(served, timeout_s=SPANS_LIMIT_S)


async def test_lines_of_both_services_carry_the_ids(told: Told) -> None:
    ids = {
        "request_id": told.sent.request_id,
        "job_id": told.job.id,
        "trace_id": told.sent.trace_id,
        "account_id": told.sent.account_id,
    }
    (request,) = [
        line
        for line in told.events("gateway*", "http_request", job_id=told.job.id)
        if line["method"] == "POST" and line["route"] == "/v1/jobs"
    ]
    lines = [request]
    for event in ("job_queued", "job_claimed", "job_succeeded"):
        lines += told.events("orchestrator*", event, job_id=told.job.id)
    assert [line["event"] for line in lines] == [
        "http_request",
        "job_queued",
        "job_claimed",
        "job_succeeded",
    ]
    for line in lines:
        assert {name: line.get(name) for name in ids} == ids


async def test_a_request_is_one_line(told: Told) -> None:
    loggers = {line.get("logger") for line in told.lines("gateway*")}
    assert "uvicorn.access" not in loggers
    about = [
        line for line in told.lines("gateway*") if line.get("request_id") == told.sent.request_id
    ]
    posts = [line for line in about if line.get("route") == "/v1/jobs"]
    assert len(posts) == 1


async def test_both_services_show_their_figures(told: Told) -> None:
    gateway = await _figures(door.metrics.address for door in told.stack.services.gateways)
    floor = await _figures(door.metrics.address for door in told.stack.services.orchestrators)
    post = {"method": "POST", "route": "/v1/jobs", "status": "202"}
    assert gateway.total("http_request_duration_seconds_count", **post) == 1
    assert gateway.total("job_transitions_total", to="accepted") == 1
    assert gateway.total("decode_outcomes_total", code="ok") == 1
    path = "kafka" if told.is_full else "direct"
    assert floor.total("dispatch_total") == floor.total("dispatch_total", path=path) == 1
    for status in ("queued", "running", "succeeded"):
        assert floor.total("job_transitions_total", to=status) == 1
    assert floor.total("decode_outcomes_total") == floor.total("decode_outcomes_total", code="ok")
    assert floor.total("separation_duration_seconds_count", outcome="succeeded") == 1
    run_s = told.job.document["ledger"]["run_s"]
    assert run_s <= floor.total("separation_duration_seconds_sum") < run_s + 30
    assert (
        floor.total("separation_file_size_bytes_sum") == told.job.document["source"]["size_bytes"]
    )
    segments = told.job.document["ledger"]["segments"]
    assert floor.total("separation_segment_inference_seconds_count", model="tiny") == segments
    assert floor.total("separation_segment_inference_seconds_sum") > 0
    assert floor.total("separation_segments_in_flight") == 0
    assert floor.total("lease_losses_total") == floor.total("dead_letters_total") == 0
    assert floor.highest("separation_window_segments") == 2
    if told.is_full:
        for topic in ("stemyard.jobs.v1", "stemyard.submissions.v1"):
            assert floor.total("kafka_partitions_assigned", topic=topic) in (6, 12)


async def test_figures_of_the_queue_come_from_the_database(told: Told) -> None:
    """Told by every process alike; taken now and then, so they may be some seconds old."""
    for door in (*told.stack.services.gateways, *told.stack.services.orchestrators):

        async def at_rest(address: str = door.metrics.address) -> bool:
            figures = await _figures([address])
            return (
                figures.total("models_loaded") == 2
                and figures.highest("separation_backlog_audio_seconds") == 0
                and figures.highest("outbox_rows_waiting") == 0
                and figures.total("separation_jobs") == 0
            )

        await until(at_rest, timeout_s=SPANS_LIMIT_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Samples of one service's processes."""

    samples: list[Sample]

    def _values(self, name: str, labels: Mapping[str, str]) -> list[float]:
        found = [sample for sample in self.samples if sample.name == name]
        return [sample.value for sample in found if labels.items() <= sample.labels.items()]

    def total(self, name: str, **labels: str) -> float:
        return sum(self._values(name, labels))

    def highest(self, name: str, **labels: str) -> float:
        return max(self._values(name, labels), default=math.nan)


async def _figures(addresses: Iterable[str]) -> Figures:
    samples: list[Sample] = []
    async with httpx.AsyncClient() as http:
        for address in addresses:
            answer = await http.get(f"{address}/metrics")
            families = text_string_to_metric_families(answer.raise_for_status().text)
            samples += [sample for family in families for sample in family.samples]
    return Figures(samples=samples)


async def test_another_workers_run_is_part_of_the_same_trace(told: Told) -> None:
    """The worker dies in the middle; what it did not tell any more is all that is missing."""
    email = "killed@example.com"
    sent = await _send(told.stack, told.song, email=email)

    def workers() -> list[str]:
        doors = told.stack.services.orchestrators
        return [
            door.name for door in doors if told.events(door.name, "job_claimed", job_id=sent.job_id)
        ]

    async def is_claimed() -> bool:
        return bool(workers())

    await until(is_claimed, timeout_s=SPANS_LIMIT_S)
    await killed(told.stack, workers()[0])
    job = await _done(told.stack, sent, told.sink, email=email)
    assert job.status == "succeeded"
    trace = told.sink.trace(sent.trace_id)
    run = trace.one("run separation")
    assert run.parent_id == trace.one("POST /v1/jobs").span_id
    assert run.attributes["stemyard.claims"] == 2
    calls = trace.children(trace.one("separate"))["infer tiny"]
    assert len(calls) == job.document["ledger"]["segments"]
    (claimed,) = [
        line
        for line in told.events("orchestrator*", "job_claimed", job_id=sent.job_id)
        if line["claims"] == 2
    ]
    assert (claimed["request_id"], claimed["trace_id"]) == (sent.request_id, sent.trace_id)


async def test_ready_names_what_is_missing_and_live_does_not_care(told: Told) -> None:
    missed = {"postgresql": "database", "triton": "engine"}
    if told.is_full:
        missed |= {"kafka": "bus", "minio": "storage"}
    services = told.stack.services
    for server, name in missed.items():
        with _frozen(told.stack, server):
            await asyncio.gather(
                *(_orchestrator_says(door, missing=name) for door in services.orchestrators),
                *(_gateway_says(gateway, missing=name) for gateway in services.gateways),
            )
        for door in services.orchestrators:
            await _says(f"{door.metrics.address}/healthz/ready", status=200)
        await told.stack.ready(timeout_s=SPANS_LIMIT_S)


async def _orchestrator_says(orchestrator: OrchestratorDoor, *, missing: str) -> None:
    address = orchestrator.metrics.address
    await _says(f"{address}/healthz/ready", status=503, missing={missing})
    await _says(f"{address}/healthz/live", status=200)


async def _gateway_says(gateway: GatewayDoor, *, missing: str) -> None:
    """Without a broker it takes jobs all the same, and only warns."""
    served = f"{gateway.address}/healthz/ready"
    if missing == "bus":
        await _says(f"{gateway.metrics.address}/healthz/ready", status=200)
        await _says(served, status=200, warnings={missing})
    else:
        await _says(f"{gateway.metrics.address}/healthz/ready", status=503, missing={missing})
        await _says(served, status=503, missing={missing})
    await _says(f"{gateway.address}/healthz/live", status=200)
    await _says(f"{gateway.metrics.address}/healthz/live", status=200)


async def _says(
    address: str, *, status: int, missing: Set[str] = frozenset(), warnings: Set[str] = frozenset()
) -> None:
    async def says_so() -> bool:
        answer = await http.get(address)
        document = answer.json()
        found = document.get("details", document).get("missing", {})
        return (
            answer.status_code == status
            and found.keys() == missing
            and document.get("warnings", {}).keys() == warnings
        )

    async with httpx.AsyncClient(timeout=SPANS_LIMIT_S) as http:
        await until(says_so, timeout_s=SPANS_LIMIT_S)


@contextmanager
def _frozen(stack: Stack, name: str) -> Generator[None]:
    """The server and its children hold still, connections and all."""
    pid = stack.processes[name].pid
    assert pid is not None
    server = psutil.Process(pid)
    processes = [server, *server.children(recursive=True)]
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            process.resume()
