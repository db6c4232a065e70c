"""One stem's share of an HTDemucs.

Stems part at the very end: the last layer of each branch makes the channels of all of them side by
side, and only then come masks and inverse transforms, each stem's own.
"""

from demucs.hdemucs import HDecLayer
from demucs.htdemucs import HTDemucs
from torch import Tensor, nn

from exporters.errors import UnsupportedModel


def narrow(model: HTDemucs, *, stem: str) -> None:
    """In place: nothing of the other stems is computed any more. Raises UnsupportedModel."""
    place, count = model.sources.index(stem), len(model.sources)
    for branch in (model.decoder, model.tdecoder):
        _narrow_layer(branch[-1], place=place, count=count)
    model.sources = [stem]


def _narrow_layer(layer: nn.Module, *, place: int, count: int) -> None:
    if not isinstance(layer, HDecLayer) or not isinstance(layer.norm2, nn.Identity):
        raise UnsupportedModel("the last layer of this HTDemucs mixes its stems' channels")
    convolution = layer.conv_tr
    share = convolution.out_channels // count
    own = slice(place * share, (place + 1) * share)
    convolution.weight = _kept(convolution.weight[:, own])
    if convolution.bias is not None:
        convolution.bias = _kept(convolution.bias[own])
    convolution.out_channels = share


def _kept(values: Tensor) -> nn.Parameter:
    return nn.Parameter(values.clone(), requires_grad=False)
