"""Checkpoint in, model folder out."""

import dataclasses
from pathlib import Path

from exporters.card_writer import ModelFolder, make_card, new_model_folder
from exporters.facts import CHECKPOINT_SHA256, ModelFacts, read_evidence, read_facts, with_facts
from exporters.onnx_export import export_graph
from exporters.reference import Reference
from exporters.specification import WaveformSpecification
from stemcore.model_card import ModelCard, Profile


def specify(reference: Reference, *, name: str) -> WaveformSpecification:
    return WaveformSpecification(
        name=name,
        family=reference.family,
        stems=reference.stems,
        sample_rate=reference.sample_rate,
        channels=reference.channels,
        segment_samples=reference.segment_samples,
        parameters=reference.parameters,
        joining=reference.joining,
    )


def export_model(
    reference: Reference,
    *,
    name: str,
    repository: Path,
    profile: Profile = "cpu",
    threads: int = 0,
    facts: ModelFacts | None = None,
    part_of: str | None = None,
) -> ModelFolder:
    """Writes `repository/name` whole or not at all; it is not yet verified.

    `facts` say more than the checkpoint does.
    """
    specification = specify(reference, name=name)
    with new_model_folder(repository, name) as folder:
        export_graph(reference.graph, folder.model, specification=specification)
        card = make_card(
            specification,
            facts=reference.facts,
            profile=profile,
            model_file=folder.model,
            part_of=part_of,
        )
        card = card if facts is None else with_facts(card, facts)
        folder.write(card, threads=threads)
    return ModelFolder(repository / name)


def annotate_model(
    folder: ModelFolder, *, facts: Path | None = None, evidence: Path | None = None
) -> ModelCard:
    """New words or figures for a card; model and parity stay. Raises FactsError."""
    card = folder.read_card()
    if facts is not None:
        card = with_facts(card, read_facts(facts))
    if evidence is not None:
        weights = card.provenance.get(CHECKPOINT_SHA256)
        card = dataclasses.replace(card, sdr=read_evidence(evidence, checkpoint_sha256=weights))
    folder.write(card, threads=folder.read_threads())
    return card
