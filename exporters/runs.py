"""One pass of audio through a PyTorch module or an engine, as stems by name."""

from collections.abc import Callable, Mapping
from typing import Protocol

import torch

from exporters.audio import Audio
from exporters.errors import ParityError

Stems = Mapping[str, Audio]


class Engine(Protocol):
    def run(self, mix: Audio) -> Mapping[str, Audio]:
        """[batch, channels, N] to one such array per output."""
        ...


def run_torch(
    model: Callable[[torch.Tensor], torch.Tensor | tuple[torch.Tensor, ...]],
    audio: Audio,
    stems: tuple[str, ...],
) -> Stems:
    with torch.inference_mode():
        outputs = model(torch.from_numpy(audio[None]))
    parts = outputs if isinstance(outputs, tuple) else outputs.unbind(1)
    return {stem: part[0].numpy() for stem, part in zip(stems, parts, strict=True)}


def run_engine(engine: Engine, batch: Audio) -> list[Stems]:
    """Raises ParityError where a real output has another shape than its declaration."""
    outputs = engine.run(batch)
    for name, output in outputs.items():
        if output.shape != batch.shape:
            raise ParityError(f"{name} came out as {output.shape}, expected {batch.shape}")
    return [{name: o[place] for name, o in outputs.items()} for place in range(len(batch))]
