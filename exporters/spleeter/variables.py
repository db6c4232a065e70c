"""TensorFlow's variables into the U-Nets, by Keras' names."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from exporters.errors import CheckpointError
from exporters.spleeter.configuration import (
    CONVOLUTIONS,
    DEPTH,
    NORMS,
    TRANSPOSED,
    Configuration,
    layer,
)
from exporters.spleeter.program import Variables
from exporters.spleeter.unet import UNet

_KERNEL = {"weight": "kernel", "bias": "bias"}
_NORM = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}


def load_unet(configuration: Configuration, variables: Variables, *, place: int) -> UNet:
    """The U-Net of the instrument at `place`; raises CheckpointError for what does not fit."""
    unet = UNet(configuration)
    for name, module in _layers(unet, place=place):
        names = _NORM if isinstance(module, nn.BatchNorm2d) else _KERNEL
        for own, theirs in names.items():
            _copy(getattr(module, own), f"{name}/{theirs}", variables)
    return unet.eval().requires_grad_(False)


def _layers(unet: UNet, *, place: int) -> Iterator[tuple[str, nn.Module]]:
    """Each layer with its name; the deepest norm's place among the norms stays empty."""
    for index, module in enumerate((*unet.down, unet.last)):
        yield layer("conv2d", place * CONVOLUTIONS + index), module
    for index, module in enumerate(unet.up):
        yield layer("conv2d_transpose", place * TRANSPOSED + index), module
    for index, module in enumerate(unet.down_norms):
        yield layer("batch_normalization", place * NORMS + index), module
    for index, module in enumerate(unet.up_norms):
        yield layer("batch_normalization", place * NORMS + DEPTH + index), module


def _copy(target: Tensor, name: str, variables: Variables) -> None:
    """Kernels are [rows, columns, in, out], those of transposed convolutions [..., out, in]."""
    if name not in variables:
        raise CheckpointError(
            f"the checkpoint lacks {name}: it is of another architecture than Spleeter's U-Net"
        )
    value = torch.from_numpy(variables[name])
    value = value.permute(3, 2, 0, 1) if value.dim() == 4 else value
    if value.shape != target.shape or not torch.isfinite(value).all():
        raise CheckpointError(
            f"{name} is {list(value.shape)} and should be {list(target.shape)}, without NaN: "
            "the checkpoint is of another architecture, or its training diverged"
        )
    with torch.no_grad():
        target.copy_(value)
