"""The architectures of the published htdemucs and htdemucs_6s: 41.5 and 26.9 million parameters."""

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
@pytest.mark.parametrize(
    ("size", "stems", "parameters"), [("full", 4, 40_000_000), ("full-6s", 6, 26_000_000)]
)
def test_full_size_exports_and_verifies_within_its_bounds(
    tmp_path: Path, size: str, stems: int, parameters: int
) -> None:
    checkpoint = tmp_path / f"{size}.safetensors"
    exporters("random-checkpoint", "--size", size, "--output", str(checkpoint))
    where = ["--checkpoint", str(checkpoint), "--repository", str(tmp_path)]
    started = time.monotonic()
    exporting = exporters("export", "htdemucs", "--name", "full", *where)
    verifying = exporters("verify", "full", *where)
    elapsed_s = time.monotonic() - started

    card = ModelFolder(tmp_path / "full").read_card()
    assert card.parity_passed, json.dumps([figure.step for figure in card.parity])
    assert card.parameters > parameters
    assert len(card.stems) == stems
    assert max(exporting, verifying) < LIMIT_BYTES
    assert elapsed_s < LIMIT_S
