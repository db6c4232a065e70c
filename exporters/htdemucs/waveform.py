"""HTDemucs as one graph from waveform to stems, in real arithmetic."""

from typing import Any, cast

import torch
from demucs.htdemucs import HTDemucs
from torch import Tensor, nn

from exporters.errors import UnsupportedModel
from exporters.htdemucs.fourier import Analysis, Synthesis
from exporters.htdemucs.layers import rewrite_layers
from exporters.htdemucs.narrowing import narrow
from exporters.htdemucs.positions import PositionTables
from exporters.htdemucs.reductions import StagedReductions
from exporters.shapes import inner_sizes, reshape_examples


class WaveformHTDemucs(HTDemucs):
    """HTDemucs with its four spectral methods replaced; forward, and all else, is Demucs' own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.analysis = Analysis(nfft=self.nfft)
        self.synthesis = Synthesis(nfft=self.nfft)
        self.positions = PositionTables()

    def forward(self, mix: Tensor) -> Tensor:
        with StagedReductions(), self.positions.installed():
            return super().forward(mix)

    def _spec(self, x: Tensor) -> Tensor:
        return self.analysis(x)

    def _magnitude(self, z: Tensor) -> Tensor:
        channels, parts, bins, frames = inner_sizes(z)
        return reshape_examples(z, channels * parts, bins, frames)

    def _mask(self, z: Tensor, m: Tensor) -> Tensor:  # noqa: ARG002
        stems, channels, bins, frames = inner_sizes(m)
        return reshape_examples(m, stems, channels // 2, 2, bins, frames)

    def _ispec(self, z: Tensor, length: int | None = None, scale: int = 0) -> Tensor:  # noqa: ARG002
        return self.synthesis(z, length=length)


class StemOutputs(nn.Module):
    """One output per stem instead of a stem axis: a client asks for what it wants."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, mix: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.model(mix).unbind(1))


def waveform_graph(model: HTDemucs, *, stem: str | None = None) -> WaveformHTDemucs:
    """The same model with the same weights as a waveform graph, of one stem if one is named."""
    refuse_unsupported(model)
    args, kwargs = arguments_of(model)
    with torch.random.fork_rng():
        graph = WaveformHTDemucs(*args, **kwargs)
    graph.load_state_dict(graph.state_dict() | model.state_dict())
    graph.segment = model.segment
    if stem is not None:
        narrow(graph, stem=stem)
    with torch.random.fork_rng():
        rewrite_layers(graph)
    graph.eval().requires_grad_(False)
    graph(torch.zeros(1, graph.audio_channels, segment_samples(model)))  # draws up its tables
    return graph


def arguments_of(model: HTDemucs) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What the model was built from; Demucs' capture_init keeps it."""
    args, kwargs = cast("Any", model)._init_args_kwargs
    return args, kwargs


def segment_samples(model: HTDemucs) -> int:
    """Demucs' own expression; exact, because its segments are fractions."""
    return int(model.segment * model.samplerate)


def refuse_unsupported(model: HTDemucs) -> None:
    """Raises UnsupportedModel with every reason."""
    transformer = model.crosstransformer
    sparse = any(getattr(module, "sparse", False) for module in model.modules())
    samples = segment_samples(model)
    reasons = {
        "cac=False (masks on magnitudes)": not model.cac,
        "use_train_segment=False (no fixed window)": not model.use_train_segment,
        "an nfft that is no multiple of 4": model.nfft % 4 != 0,
        "a segment shorter than its STFT's padding": samples <= model.nfft,
        "sparse attention": sparse,
        "t_sin_random_shift (Demucs itself is random)": getattr(transformer, "sin_random_shift", 0),
    }
    if found := [reason for reason, holds in reasons.items() if holds]:
        raise UnsupportedModel(f"HTDemucs with {'; '.join(found)} cannot be exported")
