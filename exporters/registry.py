"""Families by name: adding one is an entry here and a folder of its own."""

from typing import Protocol

from exporters.htdemucs.family import FAMILY as HTDEMUCS
from exporters.htdemucs.family import load_htdemucs
from exporters.reference import Reference


class LoadReference(Protocol):
    def __call__(self, source: str, *, trust_pickle: bool = False) -> Reference:
        """Reads a checkpoint; raises an ExportError."""
        ...


FAMILIES: dict[str, LoadReference] = {HTDEMUCS: load_htdemucs}
