"""Demucs' transformer layers on [batch, tokens, channels], without turning them around."""

import math

from demucs.transformer import MyGroupNorm
from torch import Tensor, nn

from exporters.htdemucs.convolutions import fixed
from exporters.htdemucs.reductions import staged_mean
from exporters.shapes import inner_sizes, reshape_examples


class TokenNorm(nn.Module):
    """MyGroupNorm of one group: over all tokens and channels."""

    def __init__(self, norm: MyGroupNorm) -> None:
        super().__init__()
        self.eps = norm.eps
        self.weight, self.bias = norm.weight, norm.bias

    def forward(self, tokens: Tensor) -> Tensor:
        centred = tokens - _mean_of_tokens(tokens)
        variance = _mean_of_tokens(centred * centred)
        return centred * ((variance + self.eps).rsqrt() * self.weight) + self.bias


def _mean_of_tokens(tokens: Tensor) -> Tensor:
    return staged_mean(tokens.mean(-1))[..., None]


class Attention(nn.Module):
    """nn.MultiheadAttention in the pattern that engines fuse, its scale in the queries' weights."""

    def __init__(self, attention: nn.MultiheadAttention) -> None:
        super().__init__()
        self.heads, self.width = attention.num_heads, attention.head_dim
        query, key, value = attention.in_proj_weight.detach().chunk(3)
        biases = attention.in_proj_bias.detach().chunk(3)
        scale = 1 / math.sqrt(self.width)
        self.query = _linear(query * scale, biases[0] * scale)
        self.key = _linear(key, biases[1])
        self.value = _linear(value, biases[2])
        self.out_proj = attention.out_proj

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, **_: object
    ) -> tuple[Tensor, None]:
        """Masks and the rest of what Demucs may pass are None or False where it exports."""
        queries = self._heads(self.query(query)).permute(0, 2, 1, 3)
        keys = self._heads(self.key(key)).permute(0, 2, 3, 1)
        values = self._heads(self.value(value)).permute(0, 2, 1, 3)
        mixed = ((queries @ keys).softmax(-1) @ values).permute(0, 2, 1, 3)
        count, channels = inner_sizes(query)
        return self.out_proj(reshape_examples(mixed, count, channels)), None

    def _heads(self, tokens: Tensor) -> Tensor:
        count, _ = inner_sizes(tokens)
        return reshape_examples(tokens, count, self.heads, self.width)


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    layer.weight, layer.bias = fixed(weight), fixed(bias)
    return layer
