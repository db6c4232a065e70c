"""Families by name: adding one is an entry here and a folder of its own."""

from collections.abc import Sequence
from typing import Protocol

from exporters.htdemucs.family import FAMILY as HTDEMUCS
from exporters.htdemucs.family import load_model_or_bag, load_specialists
from exporters.reference import BagReference, Reference


class LoadReference(Protocol):
    def __call__(self, source: str, *, trust_pickle: bool = False) -> Reference | BagReference:
        """Reads a checkpoint; raises an ExportError."""
        ...


class LoadSpecialists(Protocol):
    def __call__(self, sources: Sequence[str], *, trust_pickle: bool = False) -> BagReference:
        """Reads a checkpoint for each stem; raises an ExportError."""
        ...


FAMILIES: dict[str, LoadReference] = {HTDEMUCS: load_model_or_bag}
SPECIALISTS: dict[str, LoadSpecialists] = {HTDEMUCS: load_specialists}
