"""The gateway on a machine that cannot protect its decoders."""

import asyncio
import os
import sys
from pathlib import Path

from gateway.settings import GatewaySettings
from tests.integration.gateway.test_process import ROOT, environment_of, running

WEAK = ROOT / "tests" / "integration" / "stemcore" / "weak_machine.py"
TIMEOUT_S = 60


async def test_it_does_not_start_without_the_protections_it_requires(
    settings: GatewaySettings, tmp_path: Path, unused_tcp_port: int
) -> None:
    environment = environment_of(settings, tmp_path, HTTP__PORT=str(unused_tcp_port))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(WEAK), "-m", "gateway"),
        cwd=ROOT,
        env={**os.environ, **{f"STEMYARD_GATEWAY_{k}": v for k, v in environment.items()}},
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(TIMEOUT_S):
        _, errors = await process.communicate()
    assert process.returncode
    assert b'"sandbox_too_weak"' in errors
    assert b"decoder processes on this machine lack: files, sockets" in errors


async def test_it_starts_when_it_is_told_that_less_will_do(
    settings: GatewaySettings, tmp_path: Path, unused_tcp_port: int
) -> None:
    environment = environment_of(settings, tmp_path, SANDBOX__REQUIRE='["memory", "programs"]')
    async with running(
        "gateway", port=unused_tcp_port, environment=environment, launcher=[str(WEAK)]
    ) as gateway:
        assert (await gateway.http.get("/healthz/live")).status_code == 200
