"""Checkpoint in, model folder out."""

from pathlib import Path

from exporters.card_writer import ModelFolder, make_card, new_model_folder
from exporters.onnx_export import export_graph
from exporters.reference import Reference
from exporters.specification import WaveformSpecification
from stemcore.model_card import Profile


def specify(reference: Reference, *, name: str) -> WaveformSpecification:
    return WaveformSpecification(
        name=name,
        family=reference.family,
        stems=reference.stems,
        sample_rate=reference.sample_rate,
        channels=reference.channels,
        segment_samples=reference.segment_samples,
        parameters=reference.parameters,
    )


def export_model(
    reference: Reference,
    *,
    name: str,
    repository: Path,
    profile: Profile = "cpu",
    threads: int = 0,
) -> ModelFolder:
    """Writes `repository/name` whole or not at all; it is not yet verified."""
    specification = specify(reference, name=name)
    with new_model_folder(repository, name) as folder:
        export_graph(reference.graph, folder.model, specification=specification)
        card = make_card(
            specification, reference=reference, profile=profile, model_file=folder.model
        )
        folder.write(card, specification=specification, threads=threads)
    return ModelFolder(repository / name)
