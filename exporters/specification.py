"""What a waveform model is: graph, config and card all derive from this one description."""

from dataclasses import dataclass

INPUT_NAME = "mix"
BATCH_AXIS = "batch"
OPSET = 17


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveformSpecification:
    """A model that takes `mix` [batch, channels, N] and gives one such tensor per stem, float32."""

    name: str
    family: str
    stems: tuple[str, ...]
    sample_rate: int
    channels: int
    segment_samples: int
    parameters: int

    @property
    def signal_shape(self) -> tuple[int, int]:
        """Shape of one example, without the batch axis: the same for input and outputs."""
        return self.channels, self.segment_samples

    @property
    def dynamic_axes(self) -> dict[str, dict[int, str]]:
        return {name: {0: BATCH_AXIS} for name in (INPUT_NAME, *self.stems)}
