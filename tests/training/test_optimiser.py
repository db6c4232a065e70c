"""Muon."""

import pytest
import torch

from training.optimiser import Muon, optimisers, orthogonalised


@pytest.mark.parametrize("shape", [(8, 8), (8, 40), (40, 8)])
def test_orthogonalised_matrices_treat_all_directions_alike(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    ill = torch.randn(*shape) @ torch.diag(torch.logspace(0, -1, shape[1]))

    singular = torch.linalg.svdvals(orthogonalised(ill))

    assert singular.max() < 1.3
    assert singular.min() > 0.4


def test_muon_finds_a_least_squares_solution() -> None:
    torch.manual_seed(0)
    truth, inputs = torch.randn(6, 6), torch.randn(64, 6)
    weights = torch.nn.Parameter(torch.zeros(6, 6))
    optimiser = Muon([weights], lr=0.1)
    for step in range(200):
        optimiser.param_groups[0]["lr"] = 0.1 * (1 - step / 200)
        optimiser.zero_grad()
        (inputs @ (weights - truth)).square().mean().backward()
        optimiser.step()

    assert (weights - truth).abs().max() < 0.1


def test_every_parameter_belongs_to_exactly_one_optimiser() -> None:
    model = torch.nn.Sequential(torch.nn.Conv1d(2, 4, 3), torch.nn.GroupNorm(1, 4))

    held = [
        parameter
        for optimiser in optimisers(model, lr=0.1, weight_decay=0.0)
        for group in optimiser.param_groups
        for parameter in group["params"]
    ]

    assert sorted(map(id, held)) == sorted(map(id, model.parameters()))
