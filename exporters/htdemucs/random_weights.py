"""Checkpoints from a seed, for tests and benchmarks."""

from fractions import Fraction
from typing import Any

import torch
from demucs.htdemucs import HTDemucs

SOURCES = ("drums", "bass", "other", "vocals")
SIX_SOURCES = (*SOURCES, "guitar", "piano")
SIZES: dict[str, dict[str, Any]] = {
    # the architecture of the published htdemucs and htdemucs_ft
    "full": {"channels": 48, "depth": 4, "bottom_channels": 512, "t_layers": 5, "t_heads": 8},
    # that of htdemucs_6s: 27 million parameters, as its published file holds
    "full-6s": {
        "sources": list(SIX_SOURCES),
        "channels": 48,
        "depth": 4,
        "bottom_channels": 0,
        "t_layers": 5,
        "t_heads": 8,
    },
    # The same road at a hundredth of the cost. In so narrow a model Demucs' initial rescaling to
    # 0.1 would leave the deep layers 80 dB below the output, and any fault in them unseen.
    "tiny": {
        "channels": 4,
        "rescale": 0.5,
        "dconv_comp": 2,
        "depth": 4,
        "bottom_channels": 32,
        "t_layers": 2,
        "t_heads": 4,
    },
}
SEGMENT_S = Fraction(39, 5)


def random_htdemucs(*, seed: int, **overrides: Any) -> HTDemucs:
    """HTDemucs with weights drawn from `seed` and its LayerScale factors open."""
    settings = {"sources": list(SOURCES), "segment": SEGMENT_S, "samplerate": 44_100} | overrides
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = HTDemucs(**settings)
        open_layer_scale(model)
    return model.eval().requires_grad_(False)


def open_layer_scale(model: torch.nn.Module) -> None:
    """Draws LayerScale factors from 0.2 to 1: fresh ones (1e-4 to 1e-3) hide attention and
    residual branches from any comparison."""
    for name, parameter in model.named_parameters():
        if name.endswith(".scale") and parameter.dim() == 1:
            torch.nn.init.uniform_(parameter, 0.2, 1.0)
