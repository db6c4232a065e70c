"""Windowed DFTs in real arithmetic, of two matrix stages.

A dense DFT of 4096 costs 32 times the multiplications of two 64 x 64 stages with a twiddle product
between them (Cooley and Tukey), and TensorRT has no operator for either transform. A spectrum is a
pair on an axis of its own, real part first: [..., 2, bins], the lowest bins alone. The Nyquist bin
is never among them.
"""

import functools
import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from exporters.shapes import inner_sizes, move_axis, reshape_examples


def radices(size: int) -> tuple[int, int]:
    """The most balanced factors whose second is even, so that half of the bins is whole rows."""
    candidates = (d for d in range(math.isqrt(size), 0, -1) if size % d == 0)
    return next((d, size // d) for d in candidates if size // d % 2 == 0)


def whole_rows(size: int, *, bins: int) -> int:
    """How many rows of the grid the lowest `bins` fill; raises ValueError unless they fill them."""
    first, second = radices(size)
    if bins % first or not 0 < bins <= first * second // 2:
        raise ValueError(f"{bins} bins of a DFT of {size} are no whole rows of {first}")
    return bins // first


def _turns(rows: int, columns: int, *, per_turn: int) -> Tensor:
    """Angles 2 pi r c / per_turn in double precision, reduced first: exact for any size."""
    products = torch.outer(torch.arange(rows), torch.arange(columns)) % per_turn
    return products.double() * (2 * math.pi / per_turn)


def _complex_matrix(real: Tensor, imaginary: Tensor) -> Tensor:
    """Multiplies row vectors [re, im] from the right as a complex matrix does."""
    top = torch.cat([real, imaginary], dim=1)
    bottom = torch.cat([-imaginary, real], dim=1)
    return torch.cat([top, bottom], dim=0)


class ForwardDft(nn.Module):
    """Frames [..., size] to spectra [..., 2, bins] of the frames times `window`.

    With n = n1 R2 + n2 and k = k1 + R1 k2, the first stage sums over n1, the second over n2.
    """

    outer: Tensor
    twiddle_re: Tensor
    twiddle_im: Tensor
    inner: Tensor
    window: Tensor

    def __init__(self, size: int, *, bins: int, window: Tensor) -> None:
        super().__init__()
        self.first, self.second = radices(size)
        self.rows = whole_rows(size, bins=bins)
        outer = -_turns(self.first, self.first, per_turn=self.first)
        twiddle = -_turns(self.first, self.second, per_turn=size)
        inner = -_turns(self.second, self.rows, per_turn=self.second)
        self.register_buffer("outer", torch.cat([outer.cos(), outer.sin()]).float())
        self.register_buffer("twiddle_re", twiddle.cos().float())
        self.register_buffer("twiddle_im", twiddle.sin().float())
        self.register_buffer("inner", _complex_matrix(inner.cos(), inner.sin()).float())
        self.register_buffer("window", window.float())

    def forward(self, frames: Tensor) -> Tensor:
        *leading, _ = inner_sizes(frames)
        grid = reshape_examples(frames * self.window, *leading, self.first, self.second)
        re, im = (self.outer @ grid).split(self.first, dim=-2)
        turned = torch.cat(
            [
                re * self.twiddle_re - im * self.twiddle_im,
                re * self.twiddle_im + im * self.twiddle_re,
            ],
            dim=-1,
        )
        spectrum = reshape_examples(turned @ self.inner, *leading, self.first, 2, self.rows)
        return reshape_examples(move_axis(spectrum, -3, -1), *leading, 2, self.first * self.rows)


class InverseDft(nn.Module):
    """Spectra [..., 2, bins] to frames [..., size] times `window`, not divided by size.

    Each bin but the first stands for itself and its conjugate.
    """

    inner: Tensor
    twiddle_re: Tensor
    twiddle_im: Tensor
    outer: Tensor
    window: Tensor
    multiplicity: Tensor

    def __init__(self, size: int, *, bins: int, window: Tensor) -> None:
        super().__init__()
        self.first, self.second = radices(size)
        self.rows = whole_rows(size, bins=bins)
        inner = _turns(self.rows, self.second, per_turn=self.second)
        twiddle = _turns(self.first, self.second, per_turn=size)
        outer = _turns(self.first, self.first, per_turn=self.first)
        multiplicity = torch.full((bins,), 2.0)
        multiplicity[0] = 1.0
        self.register_buffer("inner", _complex_matrix(inner.cos(), inner.sin()).float())
        self.register_buffer("twiddle_re", twiddle.cos().float())
        self.register_buffer("twiddle_im", twiddle.sin().float())
        self.register_buffer("outer", torch.cat([outer.cos(), -outer.sin()], dim=1).float())
        self.register_buffer("window", window.float())
        self.register_buffer("multiplicity", multiplicity)

    def forward(self, spectrum: Tensor) -> Tensor:
        *leading, _, _ = inner_sizes(spectrum)
        weighted = spectrum * self.multiplicity
        grid = reshape_examples(weighted, *leading, 2, self.rows, self.first)
        rows = reshape_examples(move_axis(grid, -1, -3), *leading, self.first, 2 * self.rows)
        re, im = (rows @ self.inner).split(self.second, dim=-1)
        turned = torch.cat(
            [
                re * self.twiddle_re - im * self.twiddle_im,
                re * self.twiddle_im + im * self.twiddle_re,
            ],
            dim=-2,
        )
        return (
            reshape_examples(self.outer @ turned, *leading, self.first * self.second) * self.window
        )


def cut_frames(hops: Tensor, *, frames: int, hops_per_frame: int) -> Tensor:
    """Hops [batch, channels, frames + hops_per_frame - 1, hop] to the frames they make up."""
    parts = [hops[:, :, shift : shift + frames] for shift in range(hops_per_frame)]
    return torch.cat(parts, dim=-1)


def overlap_add(frames: Tensor, *, hops_per_frame: int) -> Tensor:
    """Frames [..., frames, size] to the signal [..., (frames + hops_per_frame - 1) hops]."""
    *leading, count, size = inner_sizes(frames)
    hop, last = size // hops_per_frame, hops_per_frame - 1
    hops = reshape_examples(frames, *leading, count, hops_per_frame, hop)
    shifted = [
        F.pad(hops[..., shift, :], (0, 0, shift, last - shift)) for shift in range(hops_per_frame)
    ]
    total = functools.reduce(torch.add, shifted)
    return reshape_examples(total, *leading, (count + last) * hop)
