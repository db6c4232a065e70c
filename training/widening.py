"""A trained model with twice the channels that computes the same: where a wider run may start.

Chen, Goodfellow and Shlens, "Net2Net: Accelerating Learning via Knowledge Transfer" (ICLR 2016):
every channel is doubled, and what reads the two shares out the old weight among them. The shares
are drawn by chance, so that the twins learn different things.
"""

import torch
from demucs.htdemucs import HTDemucs
from torch import nn

from training import model as models

_LEAST_SHARE = 0.3


def widened(model: HTDemucs, *, seed: int) -> HTDemucs:
    """The same function of the waveform, but for rounding; its transformer stays as wide as it was.

    A 1x1 convolution on either side leads from the doubled channels into the transformer and back.
    """
    arguments, keywords = models.configuration(model)
    transformer_channels = model.channels * 2 ** (model.depth - 1)
    twin = HTDemucs(
        *arguments,
        **keywords | {"channels": 2 * model.channels, "bottom_channels": transformer_channels},
    )
    chance = torch.Generator().manual_seed(seed)
    trained, modules = model.state_dict(), dict(twin.named_modules())
    state = {}
    for name, value in twin.state_dict().items():
        module = modules[name.rpartition(".")[0]]
        old = trained.get(name)
        if old is None:
            old = _identity(name, transformer_channels)
        state[name] = _doubled(old, value.shape, reads=_input_axis(module, value), chance=chance)
    twin.load_state_dict(state)
    return twin


def _identity(name: str, channels: int) -> torch.Tensor:
    """Of the convolutions that only the wide model has."""
    return torch.zeros(channels) if name.endswith("bias") else torch.eye(channels)[..., None]


def _input_axis(module: nn.Module, value: torch.Tensor) -> int | None:
    """The axis of a kernel that runs over what it reads."""
    if value.ndim < 3:
        return None
    return 0 if isinstance(module, nn.ConvTranspose1d | nn.ConvTranspose2d) else 1


def _doubled(
    old: torch.Tensor, shape: torch.Size, *, reads: int | None, chance: torch.Generator
) -> torch.Tensor:
    value = old
    for axis, (before, after) in enumerate(zip(old.shape, shape, strict=True)):
        if after == before:
            continue
        value = value.repeat_interleave(2, dim=axis)
        if axis == reads:
            first = torch.rand(before, generator=chance) * (1 - 2 * _LEAST_SHARE) + _LEAST_SHARE
            shares = torch.stack([first, 1 - first], dim=1).flatten()
            value = value * shares.view([-1 if axis == place else 1 for place in range(value.ndim)])
    return value
