"""Demucs' STFT and its inverse in real arithmetic: windowed DFTs of two matrix stages.

A dense DFT of 4096 costs 32 times the multiplications of two 64 x 64 stages with a twiddle product
between them (Cooley and Tukey), and TensorRT has no operator for either transform. Spectra are
pairs on an axis of their own: [..., 2, bins, frames], real part first, without the Nyquist bin,
which Demucs drops.
"""

import functools
import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from exporters.htdemucs.shapes import inner_sizes, move_axis, reshape_examples

FRAMES_PER_WINDOW = 4  # Demucs asserts hop = nfft / 4
# The squares of four periodic Hann windows, a quarter apart, add up to this everywhere.
HANN_OVERLAP = 1.5


def radices(size: int) -> tuple[int, int]:
    """The most balanced factors whose second is even, so that half of the bins is whole rows."""
    candidates = (d for d in range(math.isqrt(size), 0, -1) if size % d == 0)
    return next((d, size // d) for d in candidates if size // d % 2 == 0)


def _turns(rows: int, columns: int, *, per_turn: int) -> Tensor:
    """Angles 2 pi r c / per_turn in double precision, reduced first: exact for any size."""
    products = torch.outer(torch.arange(rows), torch.arange(columns)) % per_turn
    return products.double() * (2 * math.pi / per_turn)


def _complex_matrix(real: Tensor, imaginary: Tensor) -> Tensor:
    """Multiplies row vectors [re, im] from the right as a complex matrix does."""
    top = torch.cat([real, imaginary], dim=1)
    bottom = torch.cat([-imaginary, real], dim=1)
    return torch.cat([top, bottom], dim=0)


def _window(size: int) -> Tensor:
    """Periodic Hann with the normalisation of torch.stft(normalized=True)."""
    return torch.hann_window(size, dtype=torch.float64) / math.sqrt(size)


class ForwardDft(nn.Module):
    """Windowed frames [..., size] to spectra [..., 2, size / 2].

    With n = n1 R2 + n2 and k = k1 + R1 k2, the first stage sums over n1, the second over n2.
    """

    outer: Tensor
    twiddle_re: Tensor
    twiddle_im: Tensor
    inner: Tensor
    window: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.first, self.second = radices(size)
        self.rows = self.second // 2
        outer = -_turns(self.first, self.first, per_turn=self.first)
        twiddle = -_turns(self.first, self.second, per_turn=size)
        inner = -_turns(self.second, self.rows, per_turn=self.second)
        self.register_buffer("outer", torch.cat([outer.cos(), outer.sin()]).float())
        self.register_buffer("twiddle_re", twiddle.cos().float())
        self.register_buffer("twiddle_im", twiddle.sin().float())
        self.register_buffer("inner", _complex_matrix(inner.cos(), inner.sin()).float())
        self.register_buffer("window", _window(size).float())

    def forward(self, frames: Tensor) -> Tensor:
        *leading, size = inner_sizes(frames)
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
        return reshape_examples(move_axis(spectrum, -3, -1), *leading, 2, size // 2)


class InverseDft(nn.Module):
    """Spectra [..., 2, size / 2] to windowed frames [..., size], ready to be overlapped and added.

    Each bin but the first stands for itself and its conjugate.
    """

    inner: Tensor
    twiddle_re: Tensor
    twiddle_im: Tensor
    outer: Tensor
    window: Tensor
    multiplicity: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.first, self.second = radices(size)
        self.rows = self.second // 2
        inner = _turns(self.rows, self.second, per_turn=self.second)
        twiddle = _turns(self.first, self.second, per_turn=size)
        outer = _turns(self.first, self.first, per_turn=self.first)
        multiplicity = torch.full((size // 2,), 2.0)
        multiplicity[0] = 1.0
        self.register_buffer("inner", _complex_matrix(inner.cos(), inner.sin()).float())
        self.register_buffer("twiddle_re", twiddle.cos().float())
        self.register_buffer("twiddle_im", twiddle.sin().float())
        self.register_buffer("outer", torch.cat([outer.cos(), -outer.sin()], dim=1).float())
        self.register_buffer("window", (_window(size) / HANN_OVERLAP).float())
        self.register_buffer("multiplicity", multiplicity)

    def forward(self, spectrum: Tensor) -> Tensor:
        *leading, _, bins = inner_sizes(spectrum)
        weighted = spectrum * self.multiplicity
        grid = reshape_examples(weighted, *leading, 2, self.rows, self.first)
        rows = reshape_examples(move_axis(grid, -1, -3), *leading, self.first, self.second)
        re, im = (rows @ self.inner).split(self.second, dim=-1)
        turned = torch.cat(
            [
                re * self.twiddle_re - im * self.twiddle_im,
                re * self.twiddle_im + im * self.twiddle_re,
            ],
            dim=-2,
        )
        return reshape_examples(self.outer @ turned, *leading, 2 * bins) * self.window


class Analysis(nn.Module):
    """Demucs' `_spec`: [batch, channels, samples] to [batch, channels, 2, bins, frames]."""

    def __init__(self, *, nfft: int) -> None:
        super().__init__()
        self.hop = nfft // FRAMES_PER_WINDOW
        self.dft = ForwardDft(nfft)

    def forward(self, signal: Tensor) -> Tensor:
        channels, samples = inner_sizes(signal)
        frames = -(-samples // self.hop)
        margin = self.hop // 2 * 3
        padded = F.pad(signal, (margin, margin + frames * self.hop - samples), mode="reflect")
        hops = reshape_examples(padded, channels, frames + FRAMES_PER_WINDOW - 1, self.hop)
        windows = [hops[:, :, shift : shift + frames] for shift in range(FRAMES_PER_WINDOW)]
        return move_axis(self.dft(torch.cat(windows, dim=-1)), 2, -1)


class Synthesis(nn.Module):
    """Demucs' `_ispec`: [batch, stems, channels, 2, bins, frames] to [..., length].

    Demucs adds two silent frames on either side and cuts 3.5 hops off the front: every sample that
    is left lies under four windows, so the overlap is a constant.
    """

    def __init__(self, *, nfft: int) -> None:
        super().__init__()
        self.hop = nfft // FRAMES_PER_WINDOW
        self.dft = InverseDft(nfft)

    def forward(self, spectrum: Tensor, *, length: int) -> Tensor:
        stems, channels, _, _, frames = inner_sizes(spectrum)
        windows = self.dft(move_axis(spectrum, -1, -3))
        quarters = reshape_examples(windows, stems, channels, frames, FRAMES_PER_WINDOW, self.hop)
        last = FRAMES_PER_WINDOW - 1
        shifted = [
            F.pad(quarters[..., shift, :], (0, 0, shift, last - shift))
            for shift in range(FRAMES_PER_WINDOW)
        ]
        hops = functools.reduce(torch.add, shifted)
        start = self.hop // 2 * 3
        signal = reshape_examples(hops, stems, channels, (frames + last) * self.hop)
        return signal[..., start : start + length]
