"""Convolutions with the weights of others, in other forms."""

from typing import Any

import torch
from torch import Tensor, nn


def halves(convolution: nn.Conv2d) -> tuple[nn.Conv2d, nn.Conv2d]:
    """Two convolutions that make the first and the second half of its channels."""
    biases = _bias_of(convolution).chunk(2)
    first, second = (
        _of_half(convolution, weight, bias)
        for weight, bias in zip(convolution.weight.chunk(2), biases, strict=True)
    )
    return first, second


def over_rows(convolution: nn.Conv1d) -> nn.Conv2d:
    """The same along the last axis of [batch, channels, rows, length]."""
    (kernel,), (stride,) = convolution.kernel_size, convolution.stride
    (padding,), (dilation,) = convolution.padding, convolution.dilation
    wide = nn.Conv2d(
        convolution.in_channels,
        convolution.out_channels,
        (1, kernel),
        stride=(1, stride),
        padding=(0, int(padding)),
        dilation=(1, dilation),
    )
    wide.weight, wide.bias = fixed(convolution.weight[:, :, None]), fixed(_bias_of(convolution))
    return wide


def fixed(values: Tensor) -> nn.Parameter:
    """A copy that is not to be trained."""
    return nn.Parameter(values.detach().clone(), requires_grad=False)


def _of_half(convolution: nn.Conv2d, weight: Tensor, bias: Tensor) -> nn.Conv2d:
    form: dict[str, Any] = {
        name: getattr(convolution, name) for name in ("stride", "padding", "dilation")
    }
    kernel: Any = convolution.kernel_size
    half = nn.Conv2d(convolution.in_channels, len(weight), kernel, **form)
    half.weight, half.bias = fixed(weight), fixed(bias)
    return half


def _bias_of(convolution: nn.Conv1d | nn.Conv2d) -> Tensor:
    if convolution.bias is None:
        return torch.zeros(convolution.out_channels)
    return convolution.bias
