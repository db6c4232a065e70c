"""Families by name: adding one is an entry here and a folder of its own."""

from collections.abc import Sequence
from typing import Protocol

from exporters.errors import CheckpointError
from exporters.htdemucs.family import FAMILY as HTDEMUCS
from exporters.htdemucs.family import load_model_or_bag, load_specialists
from exporters.reference import BagReference, Reference
from exporters.spleeter.family import LoadSpleeter


class LoadReference(Protocol):
    def __call__(self, source: str, *, trust_pickle: bool = False) -> Reference | BagReference:
        """Reads a checkpoint; raises an ExportError."""
        ...


class LoadSpecialists(Protocol):
    def __call__(self, sources: Sequence[str], *, trust_pickle: bool = False) -> BagReference:
        """Reads a checkpoint for each stem; raises an ExportError."""
        ...


_SPLEETERS = (LoadSpleeter(), LoadSpleeter(suffix="-16kHz"))

FAMILIES: dict[str, LoadReference] = {
    HTDEMUCS: load_model_or_bag,
    **{load.family: load for load in _SPLEETERS},
}
SPECIALISTS: dict[str, LoadSpecialists] = {HTDEMUCS: load_specialists}


def loader_of(model: str) -> tuple[LoadReference, str]:
    """What fetches a published model, and its name there: htdemucs, or spleeter:4stems-16kHz.

    Raises CheckpointError.
    """
    prefix, colon, configuration = model.partition(":")
    if not colon:
        return FAMILIES[HTDEMUCS], model
    name, dash, variant = configuration.partition("-")
    family = f"{prefix}{dash}{variant}"
    if family not in FAMILIES:
        raise CheckpointError(f"{model!r} is of no family known here: {', '.join(FAMILIES)}")
    return FAMILIES[family], name
