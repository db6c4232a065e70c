"""The architecture of the published htdemucs: 41.5 million parameters."""

import json
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from exporters.card_writer import ModelFolder

LIMIT_S = 8 * 60
LIMIT_BYTES = 12 * 2**30


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("full") / "full.safetensors"
    exporters("random-checkpoint", "--size", "full", "--output", str(path))
    return path


def exporters(*arguments: str) -> int:
    """Runs the program to its end; its peak memory in bytes."""
    with psutil.Popen([sys.executable, "-m", "exporters", *arguments]) as process:
        peak = 0
        while process.poll() is None:
            try:
                peak = max(peak, process.memory_info().rss)
                process.wait(timeout=0.2)
            except psutil.TimeoutExpired:
                continue
            except psutil.NoSuchProcess:
                break
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, arguments)
    return peak


@pytest.mark.timeout(2 * LIMIT_S)
def test_full_size_exports_and_verifies_within_its_bounds(checkpoint: Path, tmp_path: Path) -> None:
    where = ["--checkpoint", str(checkpoint), "--repository", str(tmp_path)]
    started = time.monotonic()
    exporting = exporters("export", "htdemucs", "--name", "full", *where)
    verifying = exporters("verify", "full", *where)
    elapsed_s = time.monotonic() - started

    card = ModelFolder(tmp_path / "full").read_card()
    assert card.parity_passed, json.dumps([figure.step for figure in card.parity])
    assert card.parameters > 40_000_000
    assert max(exporting, verifying) < LIMIT_BYTES
    assert elapsed_s < LIMIT_S
