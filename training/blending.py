"""Weights between two models of one ancestry, which compute something between the two.

Wortsman et al., "Robust fine-tuning of zero-shot models" (CVPR 2022): a share of the weights that a
run started from takes back what it over-learnt.
"""

import torch
from demucs.htdemucs import HTDemucs

from training.errors import NotAlikeError


def blended(model: HTDemucs, other: HTDemucs, *, share: float) -> dict[str, torch.Tensor]:
    """`share` of `other` and the rest of `model`. Raises NotAlikeError."""
    weights, others = model.state_dict(), other.state_dict()
    shapes = {name: value.shape for name, value in weights.items()}
    if shapes != {name: value.shape for name, value in others.items()}:
        raise NotAlikeError("the two models have different weights")
    return {name: value.lerp(others[name], share) for name, value in weights.items()}
