"""What a decoder process cannot do, tried from inside, beside a control that can do it all."""

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stemcore.audio_decoder import Protection
from stemcore.audio_decoder.process import CHILD
from tests.integration.stemcore import intruder

HERE = Path(__file__).parent
TIMEOUT_S = 60
SPIN = """
import os, sys
sys.path.insert(0, sys.argv[1])
import confinement
confinement.confine(parent=os.getppid(), address_space_bytes=1 << 30, cpu_s=1)
while True:
    pass
"""


def attempts(mode: str, folder: Path) -> dict[str, Any]:
    neighbour = folder / "neighbour"
    neighbour.write_bytes(b"secret")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        command = [sys.executable, "-I", str(HERE / "intruder.py"), str(CHILD), mode]
        run = subprocess.run(
            [*command, str(neighbour), str(port)],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=True,
        )
    return json.loads(run.stdout)


@pytest.fixture(scope="module")
def confined(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return attempts("confined", tmp_path_factory.mktemp("confined"))


@pytest.fixture(scope="module")
def free(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return attempts("free", tmp_path_factory.mktemp("free"))


@pytest.mark.parametrize("name", intruder.ATTEMPTS)
def test_harm_is_refused_inside_and_possible_outside(
    confined: dict[str, Any], free: dict[str, Any], name: str
) -> None:
    assert free["tried"][name] == "done"
    assert confined["tried"][name] != "done"


def test_every_protection_was_found_to_hold(confined: dict[str, Any]) -> None:
    assert set(confined["held"]) == {protection.value for protection in Protection}


def test_endless_work_ends_by_processor_time() -> None:
    run = subprocess.run(
        [sys.executable, "-I", "-c", SPIN, str(CHILD)], timeout=TIMEOUT_S, check=False
    )
    assert run.returncode == -signal.SIGXCPU
