"""scripts/build-engines, with a stand-in for docker that runs the command on this machine."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from exporters.card_writer import ModelFolder
from exporters.tensorrt_build import find_tensorrt
from stemcore.model_card import ParityFigure
from tests.serving.small_models import write_model

SCRIPT = Path("scripts/build-engines")
# Records how it was called, drops the options up to the image, and runs the rest.
DOCKER = """#!/usr/bin/env bash
printf '%s\\n' "$@" >> {calls}
while [ "$1" != {image} ]; do shift; done
shift 2
exec {python} -W ignore "$@"
"""
IMAGE = "nvcr.io/nvidia/tensorrt:26.06-py3"


@pytest.fixture
def docker(tmp_path: Path) -> Path:
    program = tmp_path / "bin" / "docker"
    program.parent.mkdir()
    calls = tmp_path / "calls"
    program.write_text(DOCKER.format(calls=calls, image=IMAGE, python=sys.executable))
    program.chmod(0o755)
    return program


@pytest.fixture
def model(tmp_path: Path) -> ModelFolder:
    """A graph of two gains, verified."""
    folder = ModelFolder(write_model(tmp_path / "models", "gains"))
    figure = ParityFigure(
        step="any", signal="any", worst_stem="drums", snr_db=99.0, required_db=95.0, passed=True
    )
    folder.write(dataclasses.replace(folder.read_card(), parity=(figure,)), threads=0)
    return folder


def build(docker: Path, root: Path, *names: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "PATH": f"{docker.parent}:{os.environ['PATH']}",
        "SOURCE": str(root / "models"),
        "REPOSITORY": str(root / "plans"),
        "PYTHON": sys.executable,
    }
    command = [str(SCRIPT), *names]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_a_plan_is_built_in_the_container_and_becomes_a_model(
    docker: Path, model: ModelFolder, tmp_path: Path
) -> None:
    done = build(docker, tmp_path, "gains")
    assert done.returncode == 0, done.stderr
    card = ModelFolder(tmp_path / "plans" / "gains-plan").read_card()
    assert card.profile == "gpu-plan"
    assert card.parity_passed
    version = find_tensorrt().__version__
    assert (card.provenance["gpu"], card.provenance["tensorrt"]) == (
        "none",
        f"tensorrt-rtx {version}",
    )
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls[:6] == ["run", "--rm", "--gpus", "all", "--network", "none"]
    assert IMAGE in calls


def test_an_unknown_model_is_named_before_anything_is_built(
    docker: Path, model: ModelFolder, tmp_path: Path
) -> None:
    done = build(docker, tmp_path, "absent")
    assert done.returncode == 1
    assert "absent/1/model.onnx: export the model first" in done.stderr
    assert not (tmp_path / "calls").exists()


def test_without_a_name_it_says_how_it_is_called(
    docker: Path, model: ModelFolder, tmp_path: Path
) -> None:
    done = build(docker, tmp_path)
    assert done.returncode == 2
    assert "build-engines NAME..." in done.stderr


def test_the_builder_needs_no_package_but_tensorrt() -> None:
    """NVIDIA's container has none of ours: without site-packages the module still loads."""
    program = "import sys; sys.path.insert(0, '.'); import exporters.tensorrt_build"
    subprocess.run([sys.executable, "-S", "-c", program], check=True)
