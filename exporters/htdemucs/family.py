"""HTDemucs as a family of the registry."""

import dataclasses
from importlib.metadata import version

import torch

from exporters.facts import CHECKPOINT_SHA256, ModelFacts
from exporters.htdemucs.checkpoint import Checkpoint, load_checkpoint
from exporters.htdemucs.waveform import StemOutputs, segment_samples, waveform_graph
from exporters.parity import RANDOM_WEIGHTS, TRAINED_WEIGHTS
from exporters.reference import Reference
from stemcore.model_card import Licences

FAMILY = "htdemucs"

_UNKNOWN = Licences(code="MIT", weights="unknown", noncommercial=True)
# facebookresearch/demucs#327: the author grants the published weights for research only.
_PUBLISHED = Licences(code="MIT", weights="research only", noncommercial=True)
_RANDOM = Licences(code="MIT", weights="none: drawn from a seed", noncommercial=False)


def load_htdemucs(source: str, *, trust_pickle: bool = False) -> Reference:
    """Raises CheckpointError or UnsupportedModel."""
    checkpoint = load_checkpoint(source, trust_pickle=trust_pickle)
    model = checkpoint.model
    return Reference(
        family=FAMILY,
        model=model,
        graph=StemOutputs(waveform_graph(model)),
        stems=tuple(model.sources),
        sample_rate=model.samplerate,
        channels=model.audio_channels,
        segment_samples=segment_samples(model),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        floors=RANDOM_WEIGHTS if checkpoint.random_weights else TRAINED_WEIGHTS,
        facts=_with_provenance(_facts(checkpoint), checkpoint),
    )


def _facts(checkpoint: Checkpoint) -> ModelFacts:
    if checkpoint.random_weights:
        return ModelFacts(
            description="HTDemucs with random weights, for tests and benchmarks",
            licences=_RANDOM,
            demonstration=True,
        )
    published = CHECKPOINT_SHA256 not in checkpoint.provenance
    return ModelFacts(description="HTDemucs", licences=_PUBLISHED if published else _UNKNOWN)


def _with_provenance(facts: ModelFacts, checkpoint: Checkpoint) -> ModelFacts:
    versions = {"demucs": version("demucs"), "torch": torch.__version__}
    return dataclasses.replace(facts, provenance=dict(checkpoint.provenance) | versions)
