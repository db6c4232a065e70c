"""What a waveform model is: graph, config and card all derive from this one description."""

from dataclasses import dataclass, fields
from typing import Literal

from stemcore.model_card import ModelCard

INPUT_NAME = "mix"
BATCH_AXIS = "batch"
OPSET = 17


@dataclass(frozen=True, slots=True, kw_only=True)
class Joining:
    """How windows make up a song: fields of the card, by the same names."""

    join: Literal["mean", "sum"] = "mean"
    hop: int | None = None
    lead_in_samples: int = 0
    weights: Literal["triangular", "none"] = "triangular"
    normalisation: Literal["track", "none"] = "track"

    @classmethod
    def of(cls, card: ModelCard) -> "Joining":
        return cls(**{field.name: getattr(card, field.name) for field in fields(cls)})


WEIGHTED_MEAN = Joining()


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
    joining: Joining = WEIGHTED_MEAN

    @classmethod
    def of(cls, card: ModelCard) -> "WaveformSpecification":
        return cls(
            name=card.name,
            family=card.family,
            stems=card.stem_names,
            sample_rate=card.sample_rate,
            channels=card.channels,
            segment_samples=card.segment_samples,
            parameters=card.parameters,
            joining=Joining.of(card),
        )

    @property
    def signal_shape(self) -> tuple[int, int]:
        """Shape of one example, without the batch axis: the same for input and outputs."""
        return self.channels, self.segment_samples

    @property
    def dynamic_axes(self) -> dict[str, dict[int, str]]:
        return {name: {0: BATCH_AXIS} for name in (INPUT_NAME, *self.stems)}
