"""What training minimises and what it reports."""

from collections.abc import Sequence

import torch

_FLOOR = 1e-3


def error_db(
    estimate: torch.Tensor, target: torch.Tensor, mix: torch.Tensor, *, weights: Sequence[float]
) -> torch.Tensor:
    """Mean over examples and weighted stems of the error's level in dB.

    Shapes (batch, stems, 2, n) and (batch, 2, n), one weight a stem. It falls dB for dB as the SDR
    rises; the floor, 30 dB below the mix, keeps near-silent excerpts from outweighing the rest.
    """
    error = (estimate - target).square().mean(dim=(-2, -1))
    floor = _FLOOR * mix.square().mean(dim=(-2, -1))
    level_db = 10 * torch.log10(error + floor[:, None] + 1e-10).mean(dim=0)
    share = torch.tensor(weights) / sum(weights)
    return (level_db * share).sum()


def sdr_db(estimate: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """10 log10 |s|^2 / |s - e|^2 over the last two axes."""
    signal = target.square().sum(dim=(-2, -1)) + 1e-10
    error = (estimate - target).square().sum(dim=(-2, -1)) + 1e-10
    return 10 * torch.log10(signal / error)
