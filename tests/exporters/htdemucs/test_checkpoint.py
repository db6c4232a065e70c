import json
import os
import urllib.error
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from demucs.apply import BagOfModels
from demucs.hdemucs import HDemucs
from demucs.hf import load_safetensors_model
from demucs.htdemucs import HTDemucs
from safetensors.torch import save_file

from exporters.errors import CheckpointError, UnsafeCheckpoint, UnsupportedModel
from exporters.htdemucs.checkpoint import load_checkpoint, save_checkpoint
from exporters.htdemucs.waveform import arguments_of
from tests.exporters.htdemucs.packages import package_of


def refuse_to_fetch(name: str) -> Any:
    raise AssertionError(f"{name} must not be fetched")


def load(source: Path | str, **options: Any) -> HTDemucs:
    settings = {"trust_pickle": False, "fetch": refuse_to_fetch} | options
    return load_checkpoint(str(source), **settings).model


def same(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    state, other = a.state_dict(), b.state_dict()
    return state.keys() == other.keys() and all(torch.equal(state[k], other[k]) for k in state)


class Bomb:
    """Unpickled, it makes a folder; nothing worse."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.target),)


def test_safetensors_come_back_as_they_were(checkpoint: Path, model: HTDemucs) -> None:
    loaded = load(checkpoint)
    assert same(loaded, model)
    assert loaded.segment == model.segment
    assert isinstance(loaded.segment, Fraction)
    assert not loaded.training


def test_what_we_save_demucs_reads(checkpoint: Path, model: HTDemucs) -> None:
    assert same(load_safetensors_model(checkpoint), model)


def test_a_checkpoint_carries_its_provenance(model: HTDemucs, tmp_path: Path) -> None:
    save_checkpoint(model, tmp_path / "m.safetensors", provenance={"step": "7"})
    known = load_checkpoint(str(tmp_path / "m.safetensors"), trust_pickle=False).provenance
    assert known["step"] == "7"
    assert known["checkpoint"] == "m.safetensors"
    assert len(known["checkpoint_sha256"]) == 64


def test_a_th_package_of_demucs_loads_restricted(model: HTDemucs, tmp_path: Path) -> None:
    torch.save(package_of(model), tmp_path / "m-12345678.th")
    loaded = load(tmp_path / "m-12345678.th")
    assert loaded.sources == model.sources
    for name, tensor in loaded.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, model.state_dict()[name].half().float())


def test_settings_demucs_no_longer_knows_are_dropped(model: HTDemucs, tmp_path: Path) -> None:
    _, kwargs = arguments_of(model)
    torch.save(package_of(model, kwargs=kwargs | {"forgotten": 1}), tmp_path / "m.th")
    assert load(tmp_path / "m.th").sources == model.sources


@pytest.mark.parametrize("key", ["training_args", "klass", "state"])
def test_a_hostile_package_is_refused_and_does_not_run(
    model: HTDemucs, tmp_path: Path, key: str
) -> None:
    target = tmp_path / "exploded"
    torch.save(package_of(model, **{key: Bomb(target)}), tmp_path / "m.th")
    with pytest.raises(UnsafeCheckpoint, match="--trust-pickle"):
        load(tmp_path / "m.th")
    assert not target.exists()


def test_a_trusted_package_may_hold_anything(model: HTDemucs, tmp_path: Path) -> None:
    """Shows as well that the bomb of the test above is live."""
    target = tmp_path / "exploded"
    torch.save(package_of(model, training_args=Bomb(target)), tmp_path / "m.th")
    load(tmp_path / "m.th", trust_pickle=True)
    assert target.exists()


def test_a_class_named_by_a_safetensors_file_is_not_imported(
    model: HTDemucs, tmp_path: Path
) -> None:
    """Demucs' own loader would call it with arguments of the file's choice."""
    target = tmp_path / "exploded"
    metadata = {"klass": "os.mkdir", "args": json.dumps([str(target)]), "kwargs": "{}"}
    save_file(dict(model.state_dict()), tmp_path / "m.safetensors", metadata=metadata)
    with pytest.raises(UnsupportedModel, match=r"os\.mkdir"):
        load(tmp_path / "m.safetensors")
    assert not target.exists()


@pytest.mark.parametrize("suffix", [".th", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"not a model"])
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"m{suffix}"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"^m\."):
        load(path)


@pytest.mark.parametrize("suffix", [".th", ".safetensors"])
def test_noise_is_refused_whatever_it_leads_a_reader_to(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(64)
    path = tmp_path / f"m{suffix}"
    for _ in range(300):
        path.write_bytes(noise.bytes(64))
        with pytest.raises(CheckpointError, match=r"^m\."):
            load(path)


@pytest.mark.parametrize("suffix", [".th", ".safetensors"])
def test_a_truncated_file_is_named_with_what_to_do(
    model: HTDemucs, checkpoint: Path, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"m{suffix}"
    if suffix == ".th":
        torch.save(package_of(model), path)
    else:
        path.write_bytes(checkpoint.read_bytes())
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    with pytest.raises(CheckpointError, match=rf"^m\{suffix} is not a whole .*copy it again"):
        load(path)


def test_tensors_of_another_program_are_no_checkpoint(model: HTDemucs, tmp_path: Path) -> None:
    save_file(dict(model.state_dict()), tmp_path / "m.safetensors")
    with pytest.raises(CheckpointError, match=r"^m\.safetensors is not a whole Demucs"):
        load(tmp_path / "m.safetensors")


def test_weights_that_do_not_fit_their_arguments_are_refused(
    model: HTDemucs, tmp_path: Path
) -> None:
    _, kwargs = arguments_of(model)
    torch.save(package_of(model, kwargs=kwargs | {"channels": 8}), tmp_path / "m.th")
    with pytest.raises(CheckpointError, match="does not describe its model"):
        load(tmp_path / "m.th")


def test_another_class_of_demucs_is_no_htdemucs(tmp_path: Path) -> None:
    other = HDemucs(["one"], channels=4, depth=2, dconv_mode=0)
    args, kwargs = arguments_of(other)  # type: ignore[arg-type]
    package = {"klass": HDemucs, "args": args, "kwargs": kwargs, "state": other.state_dict()}
    torch.save(package, tmp_path / "m.th")
    with pytest.raises(UnsupportedModel, match=r"m\.th: a .*HDemucs is not an HTDemucs: Demucs"):
        load(tmp_path / "m.th")


@pytest.mark.parametrize(
    ("name", "reason"),
    [("hdemucs_mmi", "last window at that window's own, shorter length"), ("mdx", "htdemucs_6s")],
)
def test_what_cannot_be_exported_is_refused_before_it_is_fetched(name: str, reason: str) -> None:
    with pytest.raises(UnsupportedModel, match=rf"^{name}: .*{reason}"):
        load(name)


def test_a_missing_file_is_not_taken_for_a_name(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such checkpoint file"):
        load(tmp_path / "absent.th")


def test_an_unknown_name_is_told_the_known_ones() -> None:
    with pytest.raises(CheckpointError, match="htdemucs_6s"):
        load("htdemuks")


def test_a_pretrained_name_is_the_only_model_of_its_bag(model: HTDemucs) -> None:
    assert load("htdemucs", fetch=lambda _: BagOfModels([model])) is model


def test_a_bag_of_several_is_not_one_graph(model: HTDemucs) -> None:
    with pytest.raises(UnsupportedModel, match="htdemucs_ft: a bag of 2"):
        load("htdemucs_ft", fetch=lambda _: BagOfModels([model, model]))


def test_without_a_network_the_error_says_what_helps() -> None:
    def fail(_: str) -> Any:
        raise urllib.error.URLError("name resolution failed")

    with pytest.raises(CheckpointError, match=r"without a network, export a \.th"):
        load("htdemucs", fetch=fail)
