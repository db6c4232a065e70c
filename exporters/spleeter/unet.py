"""Spleeter's U-Net for one instrument, [batch, 2, frames, bins] to logits of the same shape.

TensorFlow pads "same" at the end first: (1, 2) for a kernel of 5 at stride 2. Skips leave before
their norms, decoders normalise after their activations, and the deepest norm is built but not used.
"""

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from exporters.spleeter.configuration import Activation, Configuration

KERAS_EPSILON = 1e-3
KERNEL = 5


class UNet(nn.Module):
    def __init__(self, configuration: Configuration) -> None:
        super().__init__()
        filters, channels = configuration.filters, configuration.channels
        widths = (channels, *filters)
        self.down = nn.ModuleList(
            nn.Conv2d(inner, outer, KERNEL, stride=2)
            for inner, outer in zip(widths[:-1], filters, strict=True)
        )
        self.down_norms = nn.ModuleList(map(_norm, filters[:-1]))
        outputs = (*reversed(filters[:-1]), 1)
        inputs = (filters[-1], *(2 * width for width in outputs[:-1]))
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(inner, outer, KERNEL, stride=2)
            for inner, outer in zip(inputs, outputs, strict=True)
        )
        self.up_norms = nn.ModuleList(map(_norm, outputs))
        self.last = nn.Conv2d(1, channels, 4, dilation=2, padding=3)
        self.down_activation = activation(configuration.conv_activation)
        self.up_activation = activation(configuration.deconv_activation)

    def forward(self, magnitudes: Tensor) -> Tensor:
        skips = [_halved(magnitudes, self.down[0])]
        for norm, convolution in zip(self.down_norms, self.down[1:], strict=True):
            skips.append(_halved(self.down_activation(norm(skips[-1])), convolution))
        values = skips.pop()
        for convolution, norm in zip(self.up, self.up_norms, strict=True):
            values = norm(self.up_activation(_doubled(values, convolution)))
            if skips:
                values = torch.cat([skips.pop(), values], dim=1)
        return self.last(values)


def _halved(values: Tensor, convolution: nn.Module) -> Tensor:
    return convolution(F.pad(values, (1, 2, 1, 2)))


def _doubled(values: Tensor, transposed: nn.Module) -> Tensor:
    return transposed(values)[..., 1:-2, 1:-2]


def activation(name: Activation) -> nn.Module:
    """As Spleeter builds them."""
    return {"ReLU": nn.ReLU(), "ELU": nn.ELU(), "LeakyReLU": nn.LeakyReLU(0.2)}[name]


def _norm(width: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(width, eps=KERAS_EPSILON)
