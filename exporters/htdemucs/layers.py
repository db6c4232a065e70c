"""Demucs' layers with the same weights, in the forms that CPU engines run fastest.

What costs time beside the arithmetic is moving activations between layouts. So nothing here
reshapes or transposes a large tensor: convolutions along one axis of a spectrogram are
two-dimensional, gated units are two convolutions instead of one that is split, and means are taken
over the axes as they lie. Layers of another make are left as Demucs has them.
"""

import functools
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from demucs.demucs import DConv
from demucs.hdemucs import HDecLayer, HEncLayer
from demucs.htdemucs import HTDemucs
from demucs.transformer import LayerScale, MyGroupNorm
from torch import Tensor, nn

from exporters.htdemucs.convolutions import halves, over_rows
from exporters.htdemucs.reductions import staged_mean
from exporters.htdemucs.tokens import Attention, TokenNorm
from exporters.htdemucs.upsampling import LengthUpsampling, RowUpsampling
from exporters.shapes import inner_sizes


def rewrite_layers(model: HTDemucs) -> None:
    """Replaces, in place, every layer that has a faster form."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if (faster := _faster(child)) is not None:
                setattr(parent, name, faster)
    last = model.tencoder[-1]
    if isinstance(last, Encoder):
        model.tencoder[-1] = WithoutRows(last)


def _faster(layer: nn.Module) -> nn.Module | None:
    if isinstance(layer, HEncLayer) and _encoder_is_plain(layer):
        return Encoder(layer)
    if isinstance(layer, HDecLayer) and _decoder_is_plain(layer):
        return Decoder(layer)
    if isinstance(layer, MyGroupNorm) and layer.num_groups == 1:
        return TokenNorm(layer)
    if type(layer) is nn.MultiheadAttention and layer.batch_first:
        return Attention(layer)
    return None


def _encoder_is_plain(layer: HEncLayer) -> bool:
    if layer.empty or not _identity(layer.norm1):
        return False
    return layer.rewrite is not None and _identity(layer.norm2) and _residual_is_plain(layer.dconv)


def _residual_is_plain(residual: DConv | None) -> bool:
    expected = (nn.Conv1d, nn.GroupNorm, nn.GELU, nn.Conv1d, nn.GroupNorm, nn.GLU, LayerScale)
    if residual is None:
        return False
    layers: list[Any] = list(residual.layers)
    return all(tuple(type(part) for part in layer) == expected for layer in layers)


def _decoder_is_plain(layer: HDecLayer) -> bool:
    if layer.empty or layer.rewrite is None or layer.dconv is not None:
        return False
    # Its crop leaves as many samples as there were strides.
    if layer.conv_tr.kernel_size[0] - layer.conv_tr.stride[0] != 2 * layer.pad:
        return False
    return _identity(layer.norm1) and _identity(layer.norm2)


def _identity(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Identity)


class GatedConvolution(nn.Module):
    """A convolution and GLU over its channels, as two convolutions and a product."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.value, self.gate = halves(convolution)

    def forward(self, values: Tensor) -> Tensor:
        return self.value(values) * self.gate(values).sigmoid()


class ResidualUnit(nn.Module):
    """One residual unit of Demucs' DConv, on each row of [batch, channels, rows, length]."""

    def __init__(self, unit: nn.Sequential) -> None:
        super().__init__()
        parts: list[Any] = list(unit)
        narrow, norm, _, widen, gated_norm, _, scale = parts
        self.narrow = over_rows(narrow)
        self.norm = UnitNorm(norm)
        self.value, self.gate = halves(over_rows(widen))
        self.value_norm, self.gate_norm = UnitNorm.halves(gated_norm, scale.scale)

    def forward(self, values: Tensor) -> Tensor:
        narrowed = self.narrow(values)
        hidden = F.gelu(self.norm(narrowed, *moments(narrowed)))
        value, gate = self.value(hidden), self.gate(hidden)
        mean, deviation = moments(value, gate)
        gated = self.gate_norm(gate, mean, deviation).sigmoid()
        return values + self.value_norm(value, mean, deviation) * gated


class UnitNorm(nn.Module):
    """The affine half of a group norm of one group; moments come from outside."""

    weight: Tensor
    bias: Tensor

    def __init__(self, norm: nn.GroupNorm) -> None:
        super().__init__()
        self.eps = norm.eps
        self.register_buffer("weight", norm.weight.detach()[:, None, None])
        self.register_buffer("bias", norm.bias.detach()[:, None, None])

    @classmethod
    def halves(cls, norm: nn.GroupNorm, scale: Tensor) -> tuple["UnitNorm", "UnitNorm"]:
        """Of the two halves of a gated unit's channels; `scale` multiplies its result."""
        value, gate = cls(norm), cls(norm)
        half = norm.num_channels // 2
        factor = scale.detach()[:, None, None]
        value.weight, value.bias = value.weight[:half] * factor, value.bias[:half] * factor
        gate.weight, gate.bias = gate.weight[half:], gate.bias[half:]
        return value, gate

    def forward(self, values: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
        return (values - mean) * ((variance + self.eps).rsqrt() * self.weight) + self.bias


def moments(*parts: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance over channels (of all parts together) and the last axis."""
    mean = _mean_over(parts)
    return mean, _mean_over([(part - mean).square() for part in parts])


def _mean_over(parts: Sequence[Tensor]) -> Tensor:
    count = sum(inner_sizes(part)[0] for part in parts)
    sums = [part.sum(1, keepdim=True) for part in parts]
    return staged_mean(functools.reduce(torch.add, sums)) / count


class Encoder(nn.Module):
    """HEncLayer without norms of its own; a waveform is a spectrogram of one row to it."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.empty = False
        self.stride = 1 if layer.freq else layer.stride
        self.conv = layer.conv if layer.freq else over_rows(layer.conv)
        self.units = nn.ModuleList(ResidualUnit(unit) for unit in layer.dconv.layers)
        rewrite = layer.rewrite if layer.freq else over_rows(layer.rewrite)
        self.rewrite = GatedConvolution(rewrite)

    def forward(self, values: Tensor, inject: Tensor | None = None) -> Tensor:
        values = _with_rows(values)
        *_, length = inner_sizes(values)
        if length % self.stride:
            values = F.pad(values, (0, self.stride - length % self.stride))
        values = self.conv(values)
        if inject is not None:
            values = values + _with_rows(inject)
        values = F.gelu(values)
        for unit in self.units:
            values = unit(values)
        return self.rewrite(values)


class Decoder(nn.Module):
    """HDecLayer without norms, its crop made part of the transposed convolution."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.empty = False
        self.freq, self.last = layer.freq, layer.last
        rewrite = layer.rewrite if layer.freq else over_rows(layer.rewrite)
        self.rewrite = GatedConvolution(rewrite)
        self.upsample = (RowUpsampling if layer.freq else LengthUpsampling)(layer)

    def forward(self, values: Tensor, skip: Tensor, length: int) -> tuple[Tensor, Tensor]:
        before = self.rewrite(_with_rows(values) + _with_rows(skip))
        after = self.upsample(before, activation=_same if self.last else F.gelu)
        if not self.freq and inner_sizes(after)[-1] != length:
            after = after[..., :length]
        return after, before


def _with_rows(values: Tensor) -> Tensor:
    return values if values.dim() == 4 else values[:, :, None]


def _same(values: Tensor) -> Tensor:
    return values


class WithoutRows(nn.Module):
    """The last layer of a waveform's encoder gives [batch, channels, length], as Demucs' does."""

    def __init__(self, layer: Encoder) -> None:
        super().__init__()
        self.empty = layer.empty
        self.layer = layer

    def forward(self, values: Tensor) -> Tensor:
        return self.layer(values)[:, :, 0]
