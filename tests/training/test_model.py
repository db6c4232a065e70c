"""stemyard-mini's architecture, start and files."""

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from synthesis import STEMS
from training import model as models
from training.errors import NotAnHTDemucsError

MOST_PARAMETERS = 1_800_000


def test_mini_is_small_enough_to_be_bundled() -> None:
    assert models.parameters(models.untrained()) <= MOST_PARAMETERS


def test_residual_branches_start_open() -> None:
    model = models.untrained(channels=8, layers=1)
    scales = [value for name, value in model.named_parameters() if name.endswith(".scale")]

    assert scales
    assert all(scale.min() >= 0.05 for scale in scales)


def test_demucs_reads_what_is_saved(tmp_path: Path) -> None:
    model = models.untrained(channels=8, layers=1)
    mix = torch.randn(1, 2, 44_100)
    models.save(model, model.state_dict(), tmp_path / "model.safetensors", step="7")

    loaded = models.load(tmp_path / "model.safetensors")

    with torch.no_grad():
        torch.testing.assert_close(loaded(mix), model.eval()(mix))
    assert loaded.sources == list(STEMS)
    assert loaded.segment == models.SEGMENT_S
    with safe_open(tmp_path / "model.safetensors", framework="pt") as file:
        assert file.metadata()["step"] == "7"


def test_saved_segment_is_the_served_one_even_after_short_training_excerpts(tmp_path: Path) -> None:
    model = models.untrained(channels=8, layers=1).train()
    model(torch.randn(1, 2, 22_050))
    models.save(model, model.state_dict(), tmp_path / "model.safetensors")

    assert models.load(tmp_path / "model.safetensors").segment == models.SEGMENT_S


def test_another_architecture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    metadata = {"klass": "torch.nn.Linear", "args": "[2, 2]", "kwargs": "{}"}
    linear = torch.nn.Linear(2, 2)
    save_file(linear.state_dict(), path, metadata)

    with pytest.raises(NotAnHTDemucsError, match="Linear"):
        models.load(path)
