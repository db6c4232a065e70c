"""The gateway as a process: its memory, its end, and its patience with what is away."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import httpx

from gateway.accounts.tokens import AccessTokens
from gateway.settings import GatewaySettings
from stemcore.ids import new_id
from tests.integration.gateway.conftest import SECRET, Caller
from tests.integration.gateway.songs import wav_header

ROOT = Path(__file__).parents[3]
START_TIMEOUT_S = 90
# Well below the grace: who waits for open streams is seen, and a slow machine is not.
GRACE_S, STOP_TIMEOUT_S = 300, 60
SONG_BYTES = 300 << 20
ALLOWED_GROWTH_BYTES = 60 << 20
NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A gateway process."""

    process: asyncio.subprocess.Process
    http: httpx.AsyncClient

    def peak_bytes(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024


@asynccontextmanager
async def running(
    module: str,
    *,
    port: int,
    environment: Mapping[str, str],
    launcher: Sequence[str] = (),
    temporary: Path | None = None,
) -> AsyncGenerator[Running]:
    named = {f"STEMYARD_GATEWAY_{name}": value for name, value in environment.items()}
    if temporary is not None:
        named["TMPDIR"] = str(temporary)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *launcher, "-m", module),
        cwd=ROOT,
        env={**os.environ, **named, "STEMYARD_GATEWAY_HTTP__PORT": str(port)},
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=120) as http:
            await _alive(http, process)
            yield Running(process=process, http=http)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _alive(http: httpx.AsyncClient, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(START_TIMEOUT_S):
        while process.returncode is None:
            try:
                await http.get("/healthz/live")
            except httpx.TransportError:
                await asyncio.sleep(0.05)
            else:
                return
    raise AssertionError(f"the gateway ended with status {process.returncode}")


def environment_of(settings: GatewaySettings, root: Path, **more: str) -> dict[str, str]:
    return {
        "DATABASE__DSN": settings.database.dsn.get_secret_value(),
        "STORAGE__ROOT": str(root),
        "AUTH__SECRET": SECRET,
        **more,
    }


async def test_a_large_song_flows_through_without_being_held(
    caller: Caller, settings: GatewaySettings, tmp_path: Path, unused_tcp_port: int
) -> None:
    song = tmp_path / "song.wav"
    with song.open("wb") as file:
        file.write(wav_header(data_bytes=SONG_BYTES))
        file.truncate(SONG_BYTES)
    environment = environment_of(settings, tmp_path / "objects")
    authorization = {"Authorization": caller.http.headers["Authorization"]}
    async with running(
        "tests.integration.gateway.served", port=unused_tcp_port, environment=environment
    ) as gateway:
        await gateway.http.get("/v1/me", headers=authorization)
        before = gateway.peak_bytes()
        with song.open("rb") as file:
            answer = await gateway.http.post(
                "/v1/jobs", files={"file": ("song.wav", file)}, headers=authorization
            )
        assert answer.status_code == 202, answer.text
        assert gateway.peak_bytes() - before < ALLOWED_GROWTH_BYTES
    assert answer.json()["source"]["size_bytes"] == SONG_BYTES
    stored = tmp_path / "objects" / "sources" / answer.json()["id"] / "original"
    assert stored.stat().st_size == SONG_BYTES


async def test_the_process_ends_soon_although_somebody_follows_a_job(
    caller: Caller, settings: GatewaySettings, tmp_path: Path, unused_tcp_port: int
) -> None:
    job = await caller.submitted()
    environment = environment_of(settings, tmp_path, HTTP__SHUTDOWN_GRACE_S=str(GRACE_S))
    authorization = {"Authorization": caller.http.headers["Authorization"]}
    async with (
        running("gateway", port=unused_tcp_port, environment=environment) as gateway,
        gateway.http.stream("GET", f"/v1/jobs/{job['id']}/events", headers=authorization) as events,
    ):
        lines = events.aiter_lines()
        assert await anext(lines) == "event: job.accepted"
        began = monotonic()
        gateway.process.send_signal(signal.SIGTERM)
        rest = [line async for line in lines]
        await gateway.process.wait()
        assert monotonic() - began < STOP_TIMEOUT_S
    assert rest[-1] == ""


async def test_an_upload_cut_off_by_the_end_leaves_nothing(
    caller: Caller, settings: GatewaySettings, tmp_path: Path, unused_tcp_port: int
) -> None:
    environment = environment_of(settings, tmp_path / "objects", HTTP__SHUTDOWN_GRACE_S="1")
    halfway = asyncio.Event()

    async def song() -> AsyncGenerator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n'
        yield wav_header(data_bytes=SONG_BYTES) + bytes(1 << 20)
        halfway.set()
        await asyncio.Event().wait()

    async with running("gateway", port=unused_tcp_port, environment=environment) as gateway:
        uploading = asyncio.create_task(
            gateway.http.post(
                "/v1/jobs",
                content=song(),
                headers={
                    "Authorization": caller.http.headers["Authorization"],
                    "Content-Type": "multipart/form-data; boundary=b",
                },
            )
        )
        await halfway.wait()
        gateway.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await gateway.process.wait()
        uploading.cancel()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


async def test_it_starts_and_says_what_is_missing_while_everything_is_away(
    settings: GatewaySettings, tmp_path: Path, unused_tcp_port: int
) -> None:
    environment = environment_of(
        settings, tmp_path, DATABASE__DSN=NOWHERE, TRITON__ADDRESS="127.0.0.1:1"
    )
    async with running("gateway", port=unused_tcp_port, environment=environment) as gateway:
        ready = await gateway.http.get("/healthz/ready")
        assert ready.status_code == 503
        assert set(ready.json()["details"]["missing"]) == {"database", "engine"}
        health = await gateway.http.get("/v1/health")
        assert (health.status_code, health.json()["status"]) == (200, "degraded")
        models = await gateway.http.get("/v1/models")
        assert (models.status_code, models.json()["error_code"]) == (503, "engine_unavailable")
        token = AccessTokens(settings.auth).issue(new_id()).value
        me = await gateway.http.get("/v1/me", headers={"Authorization": f"Bearer {token}"})
        assert (me.status_code, me.json()["error_code"]) == (503, "service_unavailable")
        assert me.headers["Retry-After"].isdecimal()
        gateway.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(STOP_TIMEOUT_S):
            await gateway.process.wait()
