"""Spleeter as families of the registry: one for each width of the band that its masks cover."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from exporters.audio import Audio
from exporters.facts import ModelFacts
from exporters.parity import Floors
from exporters.reference import Reference
from exporters.specification import Joining
from exporters.spleeter.checkpoint import PUBLISHED_AS, Checkpoint, load_checkpoint
from exporters.spleeter.configuration import Configuration
from exporters.spleeter.program import SpleeterProgram
from exporters.spleeter.waveform import waveform_graph
from stemcore.model_card import Licences

FAMILY = "spleeter"
DOWNLOADS = Path(".cache") / "spleeter"
# The floor. TensorFlow and PyTorch were seen 94 to 104 dB apart on random weights.
FLOORS = Floors(graph_db=80.0, engine_db=80.0, batch_db=105.0)

_UNKNOWN = Licences(code="MIT", weights="unknown", noncommercial=True)
# The paper (doi 10.21105/joss.02154) says so of source code and pre-trained models; the README
# speaks of the code alone.
_PUBLISHED = Licences(code="MIT", weights="MIT, by Spleeter's paper", noncommercial=False)
_RANDOM = Licences(code="MIT", weights="none: drawn from a seed", noncommercial=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSpleeter:
    """`suffix` of Spleeter's configurations: none for masks up to 11 kHz, or `-16kHz`.

    Both take the same checkpoints, so nothing in one tells which is meant.
    """

    suffix: str = ""
    program: SpleeterProgram = SpleeterProgram()  # noqa: RUF009
    downloads: Path = DOWNLOADS

    @property
    def family(self) -> str:
        return f"{FAMILY}{self.suffix}"

    def __call__(self, source: str, *, trust_pickle: bool = False) -> Reference:  # noqa: ARG002
        """Raises CheckpointError or UnsupportedModel."""
        checkpoint = load_checkpoint(
            source, suffix=self.suffix, program=self.program, downloads=self.downloads
        )
        imported = checkpoint.imported
        configuration = imported.configuration
        graph = waveform_graph(configuration, imported.variables)
        return Reference(
            family=self.family,
            model=Original(program=self.program, parameters=imported.parameters),
            graph=graph,
            stems=configuration.instruments,
            sample_rate=configuration.sample_rate,
            channels=configuration.channels,
            segment_samples=configuration.segment_samples,
            parameters=sum(parameter.numel() for parameter in graph.parameters()),
            floors=FLOORS,
            facts=_facts(checkpoint),
            joining=joining_of(configuration),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """A SongSeparator: `spleeter.separator.Separator` on TensorFlow."""

    program: SpleeterProgram
    parameters: Mapping[str, Any]

    def separate(self, songs: Sequence[Audio]) -> list[dict[str, Audio]]:
        return self.program.separate(songs, parameters=self.parameters)


def joining_of(configuration: Configuration) -> Joining:
    """Spleeter prepends a frame of silence and cuts the STFT, not the song, into windows."""
    return Joining(
        join="sum",
        hop=configuration.hop_samples,
        lead_in_samples=configuration.frame_length,
        weights="none",
        normalisation="none",
    )


def _facts(checkpoint: Checkpoint) -> ModelFacts:
    name = checkpoint.imported.configuration.descriptor
    versions = dict(checkpoint.imported.versions) | {"torch": torch.__version__}
    provenance = dict(checkpoint.provenance) | versions
    if checkpoint.random_weights:
        return ModelFacts(
            description=f"{name} with random weights, for tests and benchmarks",
            licences=_RANDOM,
            provenance=provenance,
            demonstration=True,
        )
    licences = _PUBLISHED if PUBLISHED_AS in provenance else _UNKNOWN
    return ModelFacts(description=name, licences=licences, provenance=provenance)
