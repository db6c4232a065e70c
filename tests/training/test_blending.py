"""Between two models: neither, one of them, or what lies between."""

from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from training import model as models
from training.__main__ import main
from training.blending import blended
from training.errors import NotAlikeError


def of_seed(seed: int, *, channels: int = 8) -> models.HTDemucs:
    torch.manual_seed(seed)
    return models.untrained(channels=channels, layers=1)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_every_weight_lies_at_the_share_between_both(share: float) -> None:
    one, other = of_seed(1), of_seed(2)
    between = blended(one, other, share=share)
    assert set(between) == set(one.state_dict())
    for name, value in between.items():
        expected = (1 - share) * one.state_dict()[name] + share * other.state_dict()[name]
        assert torch.allclose(value, expected, atol=1e-6), name


def test_models_of_other_shapes_are_refused() -> None:
    with pytest.raises(NotAlikeError):
        blended(of_seed(1), of_seed(1, channels=16), share=0.5)


def test_the_verb_leaves_a_run_that_says_what_it_is(tmp_path: Path) -> None:
    for name, seed in (("late", 1), ("early", 2)):
        model = of_seed(seed)
        models.save(model, model.state_dict(), tmp_path / f"{name}.safetensors")
    arguments = ["--run", "late", "--other", "early", "--share", "0.25"]
    assert main(["blend", "--cache", str(tmp_path), *arguments]) == 0
    made = tmp_path / "blended.safetensors"
    found = models.load(made).state_dict()
    for name, value in blended(of_seed(1), of_seed(2), share=0.25).items():
        assert torch.equal(found[name], value), name
    with safe_open(made, "pt") as file:
        assert file.metadata()["blend"] == "0.25 of early, the rest of late"
