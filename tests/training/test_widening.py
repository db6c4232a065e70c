"""Twice the channels, the same function."""

import torch

from training import model as models
from training.widening import widened

SAME_DB = 80.0


def _opened() -> torch.nn.Module:
    """Branches wide open, so that a fault in any of them shows."""
    torch.manual_seed(3)
    model = models.untrained(channels=8, layers=2)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if name.endswith(".scale"):
                value.uniform_(0.2, 1.0)
    return model.eval()


def test_the_wide_model_computes_what_the_narrow_one_did() -> None:
    model = _opened()
    twin = widened(model, seed=1).eval()
    mix = torch.randn(1, 2, 66_150, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        expected, got = model(mix), twin(mix)
    snr_db = 10 * torch.log10(expected.square().sum() / (expected - got).square().sum())
    assert snr_db > SAME_DB
    assert twin.channels == 16


def test_twins_learn_different_things() -> None:
    twin = widened(_opened(), seed=1).train()
    twin(torch.randn(1, 2, 66_150)).square().mean().backward()
    gradient = twin.encoder[0].conv.weight.grad
    assert not torch.allclose(gradient[0::2], gradient[1::2], rtol=1e-2)
