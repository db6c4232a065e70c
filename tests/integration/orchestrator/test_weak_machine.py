"""The orchestrator on a machine that cannot protect its decoders."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
WEAK = ROOT / "tests" / "integration" / "stemcore" / "weak_machine.py"
TIMEOUT_S = 60


def test_it_does_not_start_without_the_protections_it_requires(
    orchestrator_dsn: str, tmp_path: Path
) -> None:
    environment = {
        "STEMYARD_ORCHESTRATOR_DATABASE__DSN": orchestrator_dsn,
        "STEMYARD_ORCHESTRATOR_STORAGE__ROOT": str(tmp_path / "objects"),
        "STEMYARD_ORCHESTRATOR_SCRATCH__ROOT": str(tmp_path / "scratch"),
        "STEMYARD_ORCHESTRATOR_TRITON__ADDRESS": "127.0.0.1:1",
    }
    run = subprocess.run(
        [sys.executable, str(WEAK), "-m", "orchestrator"],
        cwd=ROOT,
        env={**os.environ, **environment},
        stderr=subprocess.PIPE,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert run.returncode == 1
    (line,) = [line for line in run.stderr.splitlines() if b'"sandbox_too_weak"' in line]
    assert b"decoder processes on this machine lack: files, sockets" in line
    assert b"Traceback" not in run.stderr
