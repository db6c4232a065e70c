import os
from pathlib import Path

import pytest

from serving import launcher
from serving.errors import ModelRefused, RefusalReason
from serving.gpus import Accelerators, check
from serving.inspection import VerifiedModel, verify
from serving.settings import ServingSettings
from stemcore.gpus import Gpu
from tests.serving.small_models import rewrite, write_model

H200 = Gpu(name="NVIDIA H200", compute_capability="9.0")
L4 = Gpu(name="NVIDIA L4", compute_capability="8.9")
BUILT = '{"gpu":"NVIDIA H200","gpu_compute_capability":"9.0","tensorrt":"10.13.3.9"}'


def gpu_model(repository: Path) -> Path:
    folder = write_model(repository, "gains")
    rewrite(folder / "config.pbtxt", lambda text: text.replace("KIND_CPU", "KIND_GPU"))
    return folder


def plan(repository: Path, *, built: str = BUILT) -> VerifiedModel:
    """A model of the tensorrt backend; what its file holds is not looked into."""
    folder = gpu_model(repository)
    quoted = built.replace('"', '\\"')
    rewrite(folder / "card.json", lambda text: text.replace('"provenance":{}', _card(built)))
    rewrite(
        folder / "config.pbtxt",
        lambda text: text.replace('\\"provenance\\":{}', _card(quoted, quote='\\"')).replace(
            '"onnxruntime"', '"tensorrt"', 1
        ),
    )
    return verify(folder)


def _card(built: str, *, quote: str = '"') -> str:
    return f"{quote}provenance{quote}:{built}"


def refusal(model: VerifiedModel, here: Accelerators) -> str:
    with pytest.raises(ModelRefused) as refused:
        check(model, here)
    assert refused.value.reason is RefusalReason.ENGINE_NOT_HERE
    return str(refused.value)


def test_a_gpu_model_without_a_gpu_is_refused_with_file_and_remedy(tmp_path: Path) -> None:
    folder = gpu_model(tmp_path)
    text = refusal(verify(folder), Accelerators())
    assert f"{folder}/config.pbtxt" in text
    assert "--profile cpu" in text


def test_a_cpu_model_asks_for_no_gpu(tmp_path: Path) -> None:
    check(verify(write_model(tmp_path, "gains")), Accelerators())


def test_an_onnx_model_runs_on_any_gpu(tmp_path: Path) -> None:
    model = verify(gpu_model(tmp_path))
    check(model, Accelerators(gpus=(L4,)))
    check(model, Accelerators(gpus=(H200, H200), tensorrt="10.13.3"))


def test_a_plan_runs_where_it_was_built(tmp_path: Path) -> None:
    check(plan(tmp_path), Accelerators(gpus=(H200, H200), tensorrt="10.13.3"))


@pytest.mark.parametrize(
    ("here", "told"),
    [
        (
            Accelerators(gpus=(H200, L4), tensorrt="10.13.3"),
            "for NVIDIA H200 (compute capability 9.0), here is NVIDIA L4 (compute capability 8.9)",
        ),
        (Accelerators(gpus=(H200,), tensorrt="11.2.1"), "TensorRT 10.13.3.9, here is 11.2.1"),
        (Accelerators(gpus=(H200,)), "TensorRT 10.13.3.9, here is none"),
    ],
    ids=["another GPU", "another TensorRT", "no TensorRT"],
)
def test_a_plan_built_elsewhere_is_refused_with_file_and_remedy(
    tmp_path: Path, here: Accelerators, told: str
) -> None:
    model = plan(tmp_path)
    text = refusal(model, here)
    assert told in text
    assert f"{model.directory}/1/model.onnx" in text
    assert "scripts/build-engines" in text


def test_a_plan_that_does_not_say_where_it_was_built_is_refused(tmp_path: Path) -> None:
    here = Accelerators(gpus=(H200,), tensorrt="10.13.3")
    assert "an unnamed GPU" in refusal(plan(tmp_path, built="{}"), here)


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program of that name, first in the path."""
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nprintf 'NVIDIA H200, 9.0\\nNVIDIA L4, 8.9\\n'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return program


def test_gpus_are_those_nvidia_smi_names(nvidia_smi: Path) -> None:
    assert Accelerators.found().gpus == (H200, L4)


def test_a_driver_that_fails_shows_no_gpu(nvidia_smi: Path) -> None:
    nvidia_smi.write_text("#!/bin/sh\necho 'NVIDIA-SMI has failed'\nexit 9\n")
    assert Accelerators.found().gpus == ()


def test_the_others_are_staged_where_a_gpu_model_cannot_be(
    tmp_path: Path, nvidia_smi: Path
) -> None:
    nvidia_smi.write_text("#!/bin/sh\nexit 9\n")
    gpu_model(tmp_path / "models")
    write_model(tmp_path / "models", "plain")
    settings = ServingSettings(repository=tmp_path / "models", runtime=tmp_path / "runtime")
    assert list(launcher.stage_verified(settings)) == ["plain"]
