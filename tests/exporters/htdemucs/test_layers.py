"""Every rewritten layer against Demucs' own, and which layers are left alone."""

from typing import Any

import pytest
import torch
from demucs.hdemucs import HDecLayer, HEncLayer
from demucs.transformer import MyGroupNorm
from torch import Tensor, nn

from exporters.htdemucs.layers import Decoder, Encoder, rewrite_layers
from exporters.htdemucs.random_weights import SIZES, open_layer_scale, random_htdemucs
from exporters.htdemucs.tokens import Attention, TokenNorm
from exporters.parity import snr_db

AGREE_DB = 115.0
FREQUENCY = (1, 8, 16, 30)
TIME = (1, 8, 1001)
PLAIN: dict[str, Any] = {"norm": False, "dconv_kw": {"init": 0.5, "compress": 2}}


def rand(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3))


def ready(layer: nn.Module) -> Any:
    open_layer_scale(layer)
    for name, parameter in layer.named_parameters():
        if "norm" in name or ".1.weight" in name or ".4.weight" in name:
            nn.init.uniform_(parameter, 0.3, 1.5)
    return layer.eval().requires_grad_(False)


def agree(reference: Tensor, candidate: Tensor) -> bool:
    flat = candidate.reshape(reference.shape)
    return snr_db(reference.numpy(), flat.numpy()) >= AGREE_DB


@pytest.mark.parametrize("shape", [FREQUENCY, TIME], ids=["frequency", "time"])
def test_an_encoder_agrees(shape: tuple[int, ...]) -> None:
    layer = ready(HEncLayer(8, 12, freq=len(shape) == 4, **PLAIN))
    values = rand(*shape)
    assert agree(layer(values.clone()), Encoder(layer)(values))


def test_an_encoder_takes_what_the_other_branch_injects() -> None:
    layer = ready(HEncLayer(8, 12, **PLAIN))
    values, inject = rand(*FREQUENCY), rand(1, 12, 30)
    assert agree(layer(values.clone(), inject), Encoder(layer)(values, inject))


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("shape", [FREQUENCY, TIME], ids=["frequency", "time"])
def test_a_decoder_agrees_also_where_it_ends_between_strides(
    shape: tuple[int, ...], last: bool
) -> None:
    frequency = len(shape) == 4
    kinds: dict[str, Any] = {"freq": frequency, "last": last, "dconv": False, "context": 1}
    layer = ready(HDecLayer(8, 6, norm=False, **kinds))
    values, skip, length = rand(*shape), rand(*shape), 4 * shape[-1] - 3
    expected, before = layer(values.clone(), skip, length)
    found, found_before = Decoder(layer)(values, skip, length)
    assert agree(expected, found)
    assert agree(before, found_before)


@pytest.mark.parametrize(("kernel", "stride"), [(8, 4), (4, 2)])
def test_any_kernel_is_told_apart_in_phases(kernel: int, stride: int) -> None:
    kinds: dict[str, Any] = {"freq": False, "dconv": False, "kernel_size": kernel}
    layer = ready(HDecLayer(8, 6, stride=stride, norm=False, **kinds))
    values, skip = rand(*TIME), rand(*TIME)
    length = layer.conv_tr(values).shape[-1] - 2 * layer.pad
    expected, _ = layer(values.clone(), skip, length)
    found, _ = Decoder(layer)(values, skip, length)
    assert agree(expected, found)


def test_attention_agrees_on_itself_and_across() -> None:
    layer = ready(nn.MultiheadAttention(16, 4, batch_first=True))
    nn.init.normal_(layer.in_proj_bias)
    tokens, others = rand(2, 30, 16), 0.5 * rand(2, 20, 16)
    attention = Attention(layer)
    for keys in (tokens, others):
        expected, _ = layer(tokens, keys, keys, need_weights=False)
        found, _ = attention(tokens, keys, keys)
        assert agree(expected, found)


def test_the_norm_over_all_tokens_agrees() -> None:
    norm = ready(MyGroupNorm(1, 16))
    nn.init.uniform_(norm.weight, 0.3, 1.5)
    tokens = 3 + rand(2, 30, 16)
    assert agree(norm(tokens), TokenNorm(norm)(tokens))


def test_layers_of_another_make_are_left_as_they_are() -> None:
    model = random_htdemucs(seed=1, **SIZES["tiny"] | {"norm_starts": 2, "dconv_mode": 3})
    rewrite_layers(model)
    assert [type(layer) for layer in model.encoder] == [Encoder, Encoder, HEncLayer, HEncLayer]
    assert all(type(layer) is HDecLayer for layer in model.decoder)
