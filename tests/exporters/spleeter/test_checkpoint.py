"""Directories that are no whole checkpoint, or none of Spleeter's: each says what to do."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from exporters.__main__ import main
from exporters.errors import CheckpointError, UnsupportedModel
from exporters.reference import Reference
from exporters.spleeter.checkpoint import load_checkpoint, newest_prefix
from exporters.spleeter.configuration import Configuration, stems_of
from exporters.spleeter.family import LoadSpleeter
from exporters.spleeter.program import SpleeterProgram, Variables
from exporters.spleeter.variables import load_unet
from exporters.spleeter.waveform import WaveformSpleeter

# TensorFlow starts in seconds, which a busy machine makes minutes of.
pytestmark = pytest.mark.timeout(900)

DATA = "model.data-00000-of-00001"
PARAMETERS = {
    "instrument_list": ["vocals", "accompaniment"],
    "sample_rate": 44_100,
    "frame_length": 4_096,
    "frame_step": 1_024,
    "T": 512,
    "F": 1_024,
    "n_channels": 2,
    "separation_exponent": 2,
    "mask_extension": "zeros",
    "model": {"type": "unet.unet", "params": {}},
}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """With files of the right names, which is all that is looked at before TensorFlow is."""
    folder = tmp_path / "4stems"
    folder.mkdir()
    (folder / "checkpoint").write_text('model_checkpoint_path: "model"\n')
    for name in ("model.index", DATA):
        (folder / name).write_bytes(b"x")
    return folder


def test_the_newest_checkpoint_is_the_one_that_is_named(directory: Path) -> None:
    assert newest_prefix(directory) == directory / "model"


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("checkpoint", "lacks checkpoint"),
        ("model.index", "lacks model.index"),
        (DATA, r"lacks model.data-\*"),
    ],
)
def test_a_missing_file_is_named(directory: Path, name: str, complaint: str) -> None:
    (directory / name).unlink()
    with pytest.raises(CheckpointError, match=f"4stems {complaint}.*copy the whole directory"):
        newest_prefix(directory)


def test_no_directory_is_said_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--checkpoint", str(tmp_path / "none"), "--repository", str(tmp_path)]
    assert main(["export", "spleeter", "--name", "x", *where]) == 1
    assert "is no directory: pass one as Spleeter downloads them" in capsys.readouterr().err


def test_a_missing_environment_names_its_verb(directory: Path, tmp_path: Path) -> None:
    nowhere = SpleeterProgram(python=tmp_path / "python")
    with pytest.raises(CheckpointError, match="make exporters-spleeter"):
        load_checkpoint(str(directory), suffix="", program=nowhere, downloads=tmp_path)


@pytest.mark.parametrize("kernels", [0, 3, 7])
def test_other_numbers_of_transposed_convolutions_are_no_unets(kernels: int) -> None:
    names = ["conv2d_transpose/kernel", *(f"conv2d_transpose_{n}/kernel" for n in range(1, 9))]
    with pytest.raises(CheckpointError, match="another architecture"):
        stems_of([*names[:kernels], "lstm/kernel"])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model": {"type": "blstm.blstm", "params": {}}}, "type blstm.blstm"),
        ({"mask_extension": "average"}, "not extended by zeros"),
        ({"separation_exponent": 1}, "exponent other than 2"),
        ({"frame_step": 2_048}, "frames of other than 4 steps"),
    ],
)
def test_what_the_graph_cannot_express_is_refused(
    changes: Mapping[str, object], reason: str
) -> None:
    Configuration.from_parameters(PARAMETERS, descriptor="mine")
    with pytest.raises(UnsupportedModel, match=reason):
        Configuration.from_parameters(PARAMETERS | changes, descriptor="mine")


@pytest.fixture(scope="module")
def variables(checkpoints: Mapping[str, Path]) -> Variables:
    return SpleeterProgram().read(checkpoints["2stems"], suffix="").variables


Fault = Callable[[dict[str, np.ndarray]], None]


def without_a_norm(variables: dict[str, np.ndarray]) -> None:
    del variables["batch_normalization_18/moving_mean"]


def with_other_filters(variables: dict[str, np.ndarray]) -> None:
    variables["conv2d_9/kernel"] = variables["conv2d_9/kernel"][..., :-1]


def diverged(variables: dict[str, np.ndarray]) -> None:
    variables["conv2d_7/bias"] = np.full_like(variables["conv2d_7/bias"], np.nan)


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        (without_a_norm, "lacks batch_normalization_18/moving_mean"),
        (with_other_filters, "conv2d_9/kernel is"),
        (diverged, "conv2d_7/bias is .* diverged"),
    ],
)
def test_variables_that_do_not_fit_are_named(
    references: Mapping[str, Reference], variables: Variables, fault: Fault, complaint: str
) -> None:
    graph = references["2stems"].graph
    assert isinstance(graph, WaveformSpleeter)
    load_unet(graph.configuration, variables, place=1)
    faulty = dict(variables)
    fault(faulty)
    with pytest.raises(CheckpointError, match=complaint):
        load_unet(graph.configuration, faulty, place=1)


def test_a_truncated_file_is_said_so(checkpoints: Mapping[str, Path], tmp_path: Path) -> None:
    cut = tmp_path / "2stems"
    shutil.copytree(checkpoints["2stems"], cut)
    data = (cut / DATA).read_bytes()
    (cut / DATA).write_bytes(data[: len(data) // 2])
    with pytest.raises(CheckpointError, match="model is truncated or damaged: fetch it again"):
        LoadSpleeter()(str(cut))
