"""What a family hands to export and verification: the reference, its graph, what is known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import nn

from exporters.audio import Audio
from exporters.facts import ModelFacts
from exporters.parity import Floors
from exporters.specification import WEIGHTED_MEAN, Joining


class SongSeparator(Protocol):
    """A model whose authors run it on nothing less than whole songs."""

    def separate(self, songs: Sequence[Audio]) -> list[dict[str, Audio]]:
        """Songs [channels, samples] of any lengths to the same per stem."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A model as its authors run it, beside the graph that is exported.

    `model`, where it is a module, gives [batch, stems, channels, N]; `graph` one
    [batch, channels, N] per stem.
    """

    family: str
    model: nn.Module | SongSeparator
    graph: nn.Module
    stems: tuple[str, ...]
    sample_rate: int
    channels: int
    segment_samples: int
    parameters: int
    floors: Floors
    facts: ModelFacts
    joining: Joining = WEIGHTED_MEAN


@dataclass(frozen=True, slots=True, kw_only=True)
class BagReference:
    """A bag as its authors run it, and by stem the models that can stand for it alone.

    The graph of `whole` runs all of theirs.
    """

    whole: Reference
    specialists: Mapping[str, Reference]
