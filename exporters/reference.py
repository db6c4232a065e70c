"""What a family hands to export and verification: the reference, its graph, what is known."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from exporters.facts import ModelFacts
from exporters.parity import Floors


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


@dataclass(frozen=True, slots=True, kw_only=True)
class BagReference:
    """A bag as its authors run it, and by stem the models that can stand for it alone.

    The graph of `whole` runs all of theirs.
    """

    whole: Reference
    specialists: Mapping[str, Reference]
