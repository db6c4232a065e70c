"""The real Triton behind `python -m serving`, with models of a few hundred bytes."""

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
import pytest_asyncio
import tritonclient.grpc as triton_sync
import tritonclient.grpc.aio as triton
from prometheus_client.parser import text_string_to_metric_families
from tritonclient.utils import InferenceServerException

from serving.admin import GRPC_ADMIN_HEADER
from serving.shared_memory import SHARED_MEMORY, region_prefix
from stemyard.stack import triton as stack_triton
from stemyard.stack.ports import FreePorts
from stemyard.stack.runtime import locked
from stemyard.stack.settings import ROOT, StackSettings
from stemyard.stack.triton import TritonDoors
from stemyard.stack.waiting import until
from tests.serving.conftest import REQUEST_TIMEOUT_S, Audio, RunningServer, running_server
from tests.serving.small_models import GAINS, SAMPLES, write_model

START_LIMIT_S = 15.0
STUB_LIMIT_S = 60.0

pytestmark = pytest.mark.asyncio(loop_scope="module")


def mix(seed: int = 1) -> Audio:
    return np.random.default_rng(seed).standard_normal((1, 2, SAMPLES), dtype=np.float32)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[RunningServer]:
    root = tmp_path_factory.mktemp("stack")
    repository = root / "models"
    write_model(repository, "gains")
    write_model(repository, "gains-batched", max_batch_size=8)
    write_model(repository, "fragile", max_batch_size=8, fragile=True)
    write_model(repository, "never-runs", fragile=True, rows=0)
    tampered = write_model(repository, "tampered")
    with (tampered / "1" / "model.onnx").open("ab") as file:
        file.write(b"\0")
    async with running_server(root / "runtime", repository) as running:
        yield running


async def ask_serving(server: RunningServer, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m serving ...` with the running server's settings."""
    environment = stack_triton.environment(server.doors, server.runtime.serving, server.settings)
    return await asyncio.to_thread(
        subprocess.run,
        [server.settings.triton_python, "-m", "serving", *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


async def is_served(server: RunningServer, model: str) -> bool:
    ready: bool = await server.client.is_model_ready(model, client_timeout=REQUEST_TIMEOUT_S)
    return ready


async def test_it_is_ready_in_time(tmp_path: Path) -> None:
    write_model(tmp_path / "models", "gains")
    started_at = monotonic()
    async with running_server(tmp_path / "runtime", tmp_path / "models") as running:
        assert monotonic() - started_at < START_LIMIT_S
        assert running.process.starts == 1


async def test_stems_are_computed_and_only_the_wanted_one_travels(server: RunningServer) -> None:
    answer = await server.separate("gains", mix(), wanted=["bass"])
    np.testing.assert_array_equal(answer.as_numpy("bass"), mix() * np.float32(GAINS["bass"]))
    assert answer.as_numpy("drums") is None


async def test_a_tampered_model_is_refused_by_name_while_the_others_go_on(
    server: RunningServer,
) -> None:
    assert await is_served(server, "gains")
    assert not await is_served(server, "tampered")
    log = (server.runtime.logs / "triton.log").read_text()
    events = [json.loads(line) for line in log.splitlines() if line.startswith('{"')]
    refused = [event for event in events if event["event"] == "model_refused"]
    assert [(event["model"], event["reason"]) for event in refused] == [
        ("tampered", "digest_differs")
    ]


async def test_a_model_that_cannot_be_warmed_up_takes_no_other_down(
    server: RunningServer,
) -> None:
    assert not await is_served(server, "never-runs")
    assert await is_served(server, "gains")
    assert server.process.starts == 1


async def test_what_is_ready_has_been_warmed_up(server: RunningServer) -> None:
    """By the server's own metrics; a run of ours is none of its requests."""
    metrics = f"http://127.0.0.1:{server.doors.metrics}/metrics"
    async with httpx.AsyncClient(trust_env=False) as client:
        text = (await client.get(metrics)).text
    took_s = {
        sample.labels["model"]: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "stemyard_warm_up_seconds"
    }
    assert set(took_s) == {"gains", "gains-batched", "fragile"}
    assert min(took_s.values()) > 0
    assert await server.counts("fragile") == (0, 0)


@pytest.mark.parametrize("headers", [{}, {GRPC_ADMIN_HEADER: "a guess"}])
async def test_the_load_api_is_closed_without_the_secret(
    server: RunningServer, headers: dict[str, str]
) -> None:
    for change in (server.client.load_model, server.client.unload_model):
        with pytest.raises(InferenceServerException, match="restricted"):
            await change("gains", headers=headers, client_timeout=REQUEST_TIMEOUT_S)
    assert await is_served(server, "gains")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v2/repository/models/gains/unload"),
        ("POST", "/v2/repository/index"),
        ("GET", "/v2/systemsharedmemory/status"),
        ("GET", "/v2/trace/setting"),
        ("GET", "/v2/logging"),
    ],
)
async def test_http_is_as_closed_as_grpc(server: RunningServer, method: str, path: str) -> None:
    async with httpx.AsyncClient(base_url=server.doors.http_address, trust_env=False) as client:
        answer = await client.request(method, path)
    assert answer.status_code == httpx.codes.FORBIDDEN
    assert await is_served(server, "gains")


async def test_even_the_secret_cannot_load_what_was_not_verified(server: RunningServer) -> None:
    secret = (server.runtime.serving / "admin-secret").read_text()
    with pytest.raises(InferenceServerException, match="tampered"):
        await server.client.load_model(
            "tampered", headers={GRPC_ADMIN_HEADER: secret}, client_timeout=REQUEST_TIMEOUT_S
        )


async def test_a_model_is_unloaded_and_loaded_by_the_launchers_verbs(
    server: RunningServer,
) -> None:
    assert (await ask_serving(server, "unload", "gains")).returncode == 0
    assert not await is_served(server, "gains")
    loaded = await ask_serving(server, "load", "gains")
    assert "gains loaded" in loaded.stdout
    assert await is_served(server, "gains")


async def test_the_launcher_refuses_to_load_a_tampered_model(server: RunningServer) -> None:
    refused = await ask_serving(server, "load", "tampered")
    assert refused.returncode == 1
    assert "its card says" in refused.stderr
    assert not await is_served(server, "tampered")


async def test_eight_concurrent_requests_share_executions(server: RunningServer) -> None:
    inferences, executions = await server.counts("gains-batched")
    answers = await asyncio.gather(
        *(server.separate("gains-batched", mix(seed), wanted=["drums"]) for seed in range(8))
    )
    for seed, answer in enumerate(answers):
        expected = mix(seed) * np.float32(GAINS["drums"])
        np.testing.assert_array_equal(answer.as_numpy("drums"), expected)
    after = await server.counted("gains-batched", inferences=inferences + 8)
    assert after[0] - inferences == 8
    assert after[1] - executions <= 4


async def test_batch_mates_may_want_different_stems(server: RunningServer) -> None:
    drums, bass = await asyncio.gather(
        server.separate("gains-batched", mix(1), wanted=["drums"]),
        server.separate("gains-batched", mix(2), wanted=["bass"]),
    )
    np.testing.assert_array_equal(drums.as_numpy("drums"), mix(1) * np.float32(GAINS["drums"]))
    np.testing.assert_array_equal(bass.as_numpy("bass"), mix(2) * np.float32(GAINS["bass"]))
    assert drums.as_numpy("bass") is None
    assert bass.as_numpy("drums") is None


async def test_a_request_that_breaks_its_batch_breaks_alone(server: RunningServer) -> None:
    quiet, loud = 0.5 * np.tanh(mix(1)), np.full_like(mix(), 2)
    answers = await asyncio.gather(
        *(server.separate("fragile", wave, wanted=["drums"]) for wave in (quiet, loud, quiet)),
        return_exceptions=True,
    )
    expected = quiet * np.float32(GAINS["drums"])
    for answer in (answers[0], answers[2]):
        np.testing.assert_array_equal(answer.as_numpy("drums"), expected)
    assert isinstance(answers[1], InferenceServerException)
    assert "indices element out of data bounds" in str(answers[1])


async def test_the_cpu_profile_runs_one_request_at_a_time(server: RunningServer) -> None:
    inferences, executions = await server.counts("gains")
    await asyncio.gather(*(server.separate("gains", mix(i), wanted=["bass"]) for i in range(6)))
    after = await server.counted("gains", inferences=inferences + 6)
    assert after[0] - inferences == after[1] - executions == 6


async def test_a_request_of_the_wrong_shape_is_turned_down(server: RunningServer) -> None:
    with pytest.raises(InferenceServerException, match="shape"):
        await server.separate("gains", mix()[:, :1], wanted=["bass"])


async def test_the_server_listens_on_loopback_alone(server: RunningServer) -> None:
    ports = {server.doors.http, server.doors.grpc, server.doors.metrics}
    listening = await asyncio.to_thread(_listening_addresses, ports)
    assert len(listening) == len(ports)
    assert set(listening.values()) == {"127.0.0.1"}


async def test_after_a_kill_it_is_back_and_answers_the_same_bytes(server: RunningServer) -> None:
    before: Any = (await server.separate("gains", mix(), wanted=["bass"])).as_numpy("bass")
    killed = server.process.pid
    assert killed is not None
    starts = server.process.starts
    os.kill(killed, signal.SIGKILL)

    async def started_again() -> bool:
        return server.process.starts > starts

    await until(started_again, timeout_s=START_LIMIT_S)
    await server.process.ready()
    after: Any = (await server.separate("gains", mix(), wanted=["bass"])).as_numpy("bass")
    assert after.tobytes() == before.tobytes()
    assert list(SHARED_MEMORY.glob(f"{region_prefix(killed)}*")) == []


async def test_a_server_killed_in_a_run_takes_its_stubs_along(tmp_path: Path) -> None:
    """Although nobody watches it: its supervisor may have been killed with it."""
    doors, settings = TritonDoors.choose(FreePorts()), StackSettings(models=("stemyard-mini",))
    with locked(tmp_path / "runtime") as runtime:
        plan = stack_triton.plan(doors, runtime, settings)
        assert plan.probe is not None
        assert plan.clean_up is not None
        with psutil.Popen(
            plan.command, cwd=plan.working_directory, env=dict(plan.environment)
        ) as alone:
            stubs: list[psutil.Process] = []
            try:
                await until(plan.probe, timeout_s=STUB_LIMIT_S)
                stubs = alone.children(recursive=True)
                assert stubs
                async with busy(doors, "stemyard-mini", stubs):
                    alone.kill()
                    await until(lambda: have_ended(stubs), timeout_s=STUB_LIMIT_S)
            finally:
                for process in (alone, *stubs):
                    with suppress(psutil.NoSuchProcess):
                        process.kill()
        plan.clean_up(alone.pid)


async def have_ended(processes: list[psutil.Process]) -> bool:
    """Whether nobody runs any more; the dead may wait long for a busy parent of all orphans."""
    return not any(map(_runs, processes))


def _runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _processor_s(process: psutil.Process) -> float:
    """None of one that is gone: beside each stub a shell watches, by programs that come and go."""
    try:
        return process.cpu_times().user
    except psutil.NoSuchProcess:
        return 0.0


@asynccontextmanager
async def busy(doors: TritonDoors, model: str, stubs: list[psutil.Process]) -> AsyncGenerator[None]:
    """Inside, the stubs are in the middle of a run; what becomes of it does not matter."""

    def processor_s() -> float:
        return sum(map(_processor_s, stubs))

    before = processor_s()

    async def working() -> bool:
        return processor_s() > before + 0.1

    tensor = triton_sync.InferInput("mix", [1, 2, 343_980], "FP32")
    tensor.set_data_from_numpy(np.zeros((1, 2, 343_980), dtype=np.float32))
    async with triton.InferenceServerClient(doors.grpc_address) as client:
        runs = [
            asyncio.create_task(
                client.infer(model, [tensor], client_timeout=REQUEST_TIMEOUT_S), name=f"run {n}"
            )
            for n in range(4)
        ]
        await until(working, timeout_s=STUB_LIMIT_S)
        yield
        for run in runs:
            run.cancel()
        await asyncio.gather(*runs, return_exceptions=True)


def _listening_addresses(ports: set[int]) -> dict[int, str]:
    """By port; an IPv4 address in an IPv6 socket is written as IPv4."""
    return {
        connection.laddr.port: connection.laddr.ip.removeprefix("::ffff:")
        for connection in psutil.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port in ports
    }
