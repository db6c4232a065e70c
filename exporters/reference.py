"""What a family hands to export and verification: the reference, its graph, and what is known."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import nn

from exporters.parity import Floors
from stemcore.model_card import Licences, SdrEvidence


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """What no tensor says, from a facts file or the registry."""

    description: str
    licences: Licences
    provenance: Mapping[str, str] = field(default_factory=dict[str, str])
    demonstration: bool = False
    sdr: SdrEvidence | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A model as its authors run it, beside the graph that is exported.

    `model` gives [batch, stems, channels, N]; `graph` one [batch, channels, N] per stem.
    """

    family: str
    model: nn.Module
    graph: nn.Module
    stems: tuple[str, ...]
    sample_rate: int
    channels: int
    segment_samples: int
    parameters: int
    floors: Floors
    facts: ModelFacts
