"""The transposed convolutions of Demucs' decoders, their crop included."""

from collections.abc import Callable
from typing import Any

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from exporters.htdemucs.convolutions import fixed
from exporters.shapes import inner_sizes, reshape_examples

Activation = Callable[[Tensor], Tensor]


class RowUpsampling(nn.Module):
    """The transposed convolution of a spectrogram's rows."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.conv_tr, self.crop = layer.conv_tr, (layer.pad, 0)

    def forward(self, values: Tensor, *, activation: Activation) -> Tensor:
        layer = self.conv_tr
        return activation(
            F.conv_transpose2d(
                values, layer.weight, layer.bias, stride=layer.stride, padding=self.crop
            )
        )


class LengthUpsampling(nn.Module):
    """The transposed convolution of a waveform: every output phase is a channel of a short plain
    convolution, and the phases are then told apart as they lie.

    With y[s i + p] = sum over o of x[i + o] w[p + crop - s o], a third of the products is with
    zeros, but engines have no fast kernel for the transposed form.
    """

    def __init__(self, layer: Any) -> None:
        super().__init__()
        kernels, bias = layer.conv_tr.weight.detach(), layer.conv_tr.bias.detach()
        self.phases = layer.conv_tr.stride[0]
        inputs, self.channels, taps = kernels.shape
        reach = (self.phases - 1 + layer.pad) // self.phases
        weight = kernels.new_zeros(self.phases, self.channels, inputs, 2 * reach + 1)
        for phase in range(self.phases):
            for offset in range(-reach, reach + 1):
                if 0 <= (tap := phase + layer.pad - self.phases * offset) < taps:
                    weight[phase, :, :, offset + reach] = kernels[:, :, tap].T
        self.conv = nn.Conv2d(inputs, len(weight), (1, 2 * reach + 1), padding=(0, reach))
        self.conv.weight = fixed(weight.flatten(0, 1)[:, :, None])
        self.conv.bias = fixed(bias.repeat(self.phases))

    def forward(self, values: Tensor, *, activation: Activation) -> Tensor:
        phases = activation(self.conv(values)).permute(0, 2, 3, 1)
        rows, length, _ = inner_sizes(phases)
        samples = reshape_examples(phases, rows, length * self.phases, self.channels)
        return samples.permute(0, 3, 1, 2)
