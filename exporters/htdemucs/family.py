"""HTDemucs as a family of the registry."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import torch
from demucs.apply import BagOfModels, apply_model
from demucs.htdemucs import HTDemucs
from demucs.pretrained import get_model
from torch import Tensor, nn

from exporters.facts import CHECKPOINT_SHA256, ModelFacts
from exporters.htdemucs import bag
from exporters.htdemucs.checkpoint import (
    Checkpoint,
    Fetch,
    fetch_pretrained,
    load_checkpoint,
    pretrained_checkpoint,
)
from exporters.htdemucs.waveform import StemOutputs, segment_samples, waveform_graph
from exporters.parity import RANDOM_WEIGHTS, TRAINED_WEIGHTS
from exporters.reference import BagReference, Reference
from stemcore.model_card import Licences

FAMILY = "htdemucs"
VERSIONED = ("demucs", "torch")

_UNKNOWN = Licences(code="MIT", weights="unknown", noncommercial=True)
# facebookresearch/demucs#327: the author grants the published weights for research only.
_PUBLISHED = Licences(code="MIT", weights="research only", noncommercial=True)
_RANDOM = Licences(code="MIT", weights="none: drawn from a seed", noncommercial=False)


def load_htdemucs(source: str, *, trust_pickle: bool = False) -> Reference:
    """Raises CheckpointError or UnsupportedModel."""
    return _reference(load_checkpoint(source, trust_pickle=trust_pickle))


def load_model_or_bag(
    source: str, *, trust_pickle: bool = False, fetch: Fetch = get_model
) -> Reference | BagReference:
    """A checkpoint, a bag's yaml or folder, or one of Demucs' names.

    Raises CheckpointError or UnsupportedModel.
    """
    if bag.is_bag(source):
        return _bag_reference(bag.load_bag(source, trust_pickle=trust_pickle))
    if Path(source).is_file():
        return load_htdemucs(source, trust_pickle=trust_pickle)
    fetched = fetch_pretrained(source, fetch)
    if not isinstance(fetched, BagOfModels) or len(fetched.models) == 1:
        return _reference(pretrained_checkpoint(fetched, name=source))
    checkpoints = [pretrained_checkpoint(model, name=source) for model in fetched.models]
    return _bag_reference(bag.bag_of(checkpoints, weights=fetched.weights, segment=None))


def load_specialists(sources: Sequence[str], *, trust_pickle: bool = False) -> BagReference:
    """A checkpoint per stem, in their order. Raises CheckpointError or UnsupportedModel."""
    return _bag_reference(bag.load_specialists(sources, trust_pickle=trust_pickle))


class OneStem(nn.Module):
    """Demucs' model as it runs, of which one stem is wanted."""

    def __init__(self, model: HTDemucs, stem: str) -> None:
        super().__init__()
        self.model = model
        self.place = model.sources.index(stem)

    def forward(self, mix: Tensor) -> Tensor:
        return self.model(mix)[:, self.place : self.place + 1]


class BagWindow(nn.Module):
    """Demucs' own run of a bag on one window."""

    def __init__(self, bag_of_models: BagOfModels) -> None:
        super().__init__()
        self.bag = bag_of_models

    def forward(self, mix: Tensor) -> Tensor:
        return apply_model(self.bag, mix, shifts=0, split=False)


class Together(nn.Module):
    """The graphs of all specialists, one after the other."""

    def __init__(self, graphs: Iterable[nn.Module]) -> None:
        super().__init__()
        self.graphs = nn.ModuleList(graphs)

    def forward(self, mix: Tensor) -> tuple[Tensor, ...]:
        return tuple(output for graph in self.graphs for output in graph(mix))


def _reference(checkpoint: Checkpoint, *, stem: str | None = None) -> Reference:
    model = checkpoint.model
    graph = waveform_graph(model, stem=stem)
    return Reference(
        family=FAMILY,
        model=model if stem is None else OneStem(model, stem),
        graph=StemOutputs(graph),
        stems=tuple(graph.sources),
        sample_rate=model.samplerate,
        channels=model.audio_channels,
        segment_samples=segment_samples(model),
        parameters=_parameters(graph),
        floors=RANDOM_WEIGHTS if checkpoint.random_weights else TRAINED_WEIGHTS,
        facts=_with_provenance(_facts(checkpoint), checkpoint),
    )


def _bag_reference(loaded: bag.BagCheckpoint) -> BagReference:
    specialists = {
        stem: _reference(checkpoint, stem=stem) for stem, checkpoint in loaded.specialists.items()
    }
    whole = dataclasses.replace(
        _strictest(specialists),
        model=BagWindow(loaded.bag),
        graph=Together(each.graph for each in specialists.values()),
        stems=tuple(specialists),
        parameters=sum(each.parameters for each in specialists.values()),
        facts=_facts_of_all(specialists),
    )
    return BagReference(whole=whole, specialists=specialists)


def _facts_of_all(specialists: Mapping[str, Reference]) -> ModelFacts:
    """The checkpoints' origins, each under its stem."""
    facts = _strictest(specialists).facts
    origins = {
        f"{stem}_{key}": text
        for stem, each in specialists.items()
        for key, text in each.facts.provenance.items()
        if key in ("checkpoint", CHECKPOINT_SHA256)
    }
    versions = {key: facts.provenance[key] for key in VERSIONED}
    return dataclasses.replace(
        facts,
        description=f"{facts.description}: a specialist for each stem",
        provenance=origins | versions,
        demonstration=any(each.facts.demonstration for each in specialists.values()),
    )


def _strictest(specialists: Mapping[str, Reference]) -> Reference:
    """Whose licence speaks for all."""
    return max(specialists.values(), key=lambda each: each.facts.licences.noncommercial)


def _parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


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
