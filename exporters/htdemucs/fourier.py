"""Demucs' STFT and its inverse. Spectra are [..., 2, bins, frames] without the Nyquist bin, which
Demucs drops."""

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from exporters.fourier import ForwardDft, InverseDft, cut_frames, overlap_add
from exporters.shapes import inner_sizes, move_axis, reshape_examples

FRAMES_PER_WINDOW = 4  # Demucs asserts hop = nfft / 4
# The squares of four periodic Hann windows, a quarter apart, add up to this everywhere.
HANN_OVERLAP = 1.5


def analysis_window(size: int) -> Tensor:
    """Periodic Hann with the normalisation of torch.stft(normalized=True)."""
    return torch.hann_window(size, dtype=torch.float64) / math.sqrt(size)


def synthesis_window(size: int) -> Tensor:
    """The same, divided by what four overlapping windows add up to."""
    return analysis_window(size) / HANN_OVERLAP


class Analysis(nn.Module):
    """Demucs' `_spec`: [batch, channels, samples] to [batch, channels, 2, bins, frames]."""

    def __init__(self, *, nfft: int) -> None:
        super().__init__()
        self.hop = nfft // FRAMES_PER_WINDOW
        self.dft = ForwardDft(nfft, bins=nfft // 2, window=analysis_window(nfft))

    def forward(self, signal: Tensor) -> Tensor:
        channels, samples = inner_sizes(signal)
        frames = -(-samples // self.hop)
        margin = self.hop // 2 * 3
        padded = F.pad(signal, (margin, margin + frames * self.hop - samples), mode="reflect")
        hops = reshape_examples(padded, channels, frames + FRAMES_PER_WINDOW - 1, self.hop)
        windows = cut_frames(hops, frames=frames, hops_per_frame=FRAMES_PER_WINDOW)
        return move_axis(self.dft(windows), 2, -1)


class Synthesis(nn.Module):
    """Demucs' `_ispec`: [batch, stems, channels, 2, bins, frames] to [..., length].

    Demucs adds two silent frames on either side and cuts 3.5 hops off the front: every sample that
    is left lies under four windows, so the overlap is a constant.
    """

    def __init__(self, *, nfft: int) -> None:
        super().__init__()
        self.hop = nfft // FRAMES_PER_WINDOW
        self.dft = InverseDft(nfft, bins=nfft // 2, window=synthesis_window(nfft))

    def forward(self, spectrum: Tensor, *, length: int) -> Tensor:
        windows = self.dft(move_axis(spectrum, -1, -3))
        signal = overlap_add(windows, hops_per_frame=FRAMES_PER_WINDOW)
        start = self.hop // 2 * 3
        return signal[..., start : start + length]
