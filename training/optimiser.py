"""Muon for the matrices, AdamW for the rest.

Muon (Keller Jordan, 2024) replaces a matrix's momentum by its nearest orthogonal matrix, so that
weak directions learn as fast as strong ones: worth it in runs of few steps. Convolution kernels
count as matrices (out, in x taps).
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch

_REST = 0.25
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def orthogonalised(matrix: torch.Tensor, *, iterations: int = 5) -> torch.Tensor:
    """The nearest semi-orthogonal matrix, roughly, by a quintic Newton-Schulz iteration."""
    a, b, c = _COEFFICIENTS
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(iterations):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if tall else x


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised, scaled to AdamW's usual update size."""

    def __init__(
        self,
        params: Iterable[torch.Tensor],
        *,
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update from the gradients at hand, or from those that `closure` makes."""
        loss = closure() if closure else None
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group)
        return loss

    def _update(
        self, parameter: torch.Tensor, gradient: torch.Tensor, group: dict[str, Any]
    ) -> None:
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        momentum = state["momentum"]
        momentum.lerp_(gradient, 1 - group["momentum"])
        ahead = gradient.lerp(momentum, group["momentum"])
        rows = ahead.shape[0]
        direction = orthogonalised(ahead.reshape(rows, -1))
        size = 0.2 * max(direction.shape) ** 0.5
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.add_(direction.view_as(parameter), alpha=-group["lr"] * size)


def optimisers(
    model: torch.nn.Module, *, lr: float, weight_decay: float
) -> list[torch.optim.Optimizer]:
    """Muon for kernels with two axes or more, AdamW for biases, norms, scales and embeddings.

    Every group keeps its `peak_lr` for schedules to scale.
    """
    matrices, rest = [], []
    for name, parameter in model.named_parameters():
        is_matrix = parameter.ndim >= 2 and "freq_emb" not in name
        (matrices if is_matrix else rest).append(parameter)
    both = [
        Muon(matrices, lr=lr, weight_decay=weight_decay),
        torch.optim.AdamW(rest, lr=_REST * lr, betas=(0.9, 0.99), weight_decay=0.0),
    ]
    for optimiser in both:
        for group in optimiser.param_groups:
            group["peak_lr"] = group["lr"]
    return both
