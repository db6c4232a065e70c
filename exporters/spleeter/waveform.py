"""Spleeter as one graph from a window of the song to its part in each stem, in real arithmetic."""

import torch
from torch import Tensor, nn

from exporters.fourier import ForwardDft, InverseDft, cut_frames, overlap_add
from exporters.shapes import inner_sizes, reshape_examples
from exporters.spleeter.configuration import HOPS_PER_FRAME, Configuration
from exporters.spleeter.program import Variables
from exporters.spleeter.unet import UNet
from exporters.spleeter.variables import load_unet

EPSILON = 1e-10
WINDOW_COMPENSATION = 2.0 / 3.0


class WaveformSpleeter(nn.Module):
    """`mix` [batch, 2, N] to one such tensor per instrument, N the samples that T frames span.

    The frames' inverses are added up as they are: the three hops at either end are short of the
    neighbouring windows' frames, and come out whole when the windows are summed.
    """

    def __init__(self, configuration: Configuration, unets: list[UNet]) -> None:
        super().__init__()
        size, bins = configuration.frame_length, configuration.bins
        window = torch.hann_window(size, dtype=torch.float64)
        self.configuration = configuration
        self.analysis = ForwardDft(size, bins=bins, window=window)
        self.synthesis = InverseDft(size, bins=bins, window=window * WINDOW_COMPENSATION / size)
        self.unets = nn.ModuleList(unets)

    def forward(self, mix: Tensor) -> tuple[Tensor, ...]:
        spectrum = self._spectrum(mix)
        re, im = spectrum.unbind(dim=-2)
        magnitudes = (re * re + im * im).sqrt()
        masks = ratio_masks(self._estimates(magnitudes))
        return tuple(self._signal(spectrum * mask.unsqueeze(-2)) for mask in masks)

    def _spectrum(self, mix: Tensor) -> Tensor:
        """[batch, channels, frames, 2, bins]."""
        channels, samples = inner_sizes(mix)
        step = self.configuration.frame_step
        hops = reshape_examples(mix, channels, samples // step, step)
        frames = cut_frames(hops, frames=self.configuration.frames, hops_per_frame=HOPS_PER_FRAME)
        return self.analysis(frames)

    def _estimates(self, magnitudes: Tensor) -> list[Tensor]:
        """Each instrument's magnitudes, [batch, channels, frames, bins]."""
        logits = [unet(magnitudes) for unet in self.unets]
        if self.configuration.softmax:
            shares = torch.stack(logits, dim=-1).softmax(dim=-1).unbind(dim=-1)
        else:
            shares = [logistic(values) for values in logits]
        return [share * magnitudes for share in shares]

    def _signal(self, spectrum: Tensor) -> Tensor:
        return overlap_add(self.synthesis(spectrum), hops_per_frame=HOPS_PER_FRAME)


def logistic(values: Tensor) -> Tensor:
    """The sigmoid, exact to its own size where it is tiny: masks are ratios of such values.

    ONNX Runtime's own operator is right to 1e-7 of 1, and nothing below 1.5e-8: 36 dB were left.
    """
    return 1 / (1 + (-values).exp())


def ratio_masks(estimates: list[Tensor]) -> list[Tensor]:
    """Each instrument's share of the squares, equal shares of silence."""
    squares = [estimate * estimate for estimate in estimates]
    total = sum(squares[1:], squares[0]) + EPSILON
    return [(square + EPSILON / len(squares)) / total for square in squares]


def waveform_graph(configuration: Configuration, variables: Variables) -> WaveformSpleeter:
    """Raises CheckpointError for variables that do not fit."""
    places = range(len(configuration.instruments))
    unets = [load_unet(configuration, variables, place=place) for place in places]
    return WaveformSpleeter(configuration, unets).eval().requires_grad_(False)
