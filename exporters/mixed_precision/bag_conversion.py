"""A verified bag to one of mixed-precision parts."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from exporters.card_writer import ModelFolder, new_models
from exporters.mixed_precision.conversion import convert_model
from exporters.parity import Step
from stemcore.model_card import ModelCard, Profile


def convert_bag(
    source: ModelFolder,
    *,
    name: str,
    repository: Path,
    profile: Profile,
    half_outputs: bool = False,
) -> ModelFolder:
    """Writes the parts, each measured, and the bag of them, all or none. Raises as convert_model.

    The bag's card has the parts' figures beside its own.
    """
    card = source.read_card()
    parts: dict[str, ModelCard] = {}
    with new_models(repository) as models:
        for part in card.parts:
            folder = convert_model(
                ModelFolder(source.path.parent / part),
                name=name + part.removeprefix(card.name),
                repository=models,
                profile=profile,
                half_outputs=half_outputs,
                part_of=name,
            )
            parts[part] = folder.read_card()
        # Triton wants a version even of an ensemble, which has no file.
        (models / name / "1").mkdir(parents=True)
        bag = _bag_card(card, name=name, parts=parts)
        ModelFolder(models / name).write(bag, threads=0)
    return ModelFolder(repository / name)


def _bag_card(card: ModelCard, *, name: str, parts: Mapping[str, ModelCard]) -> ModelCard:
    first = next(iter(parts.values()))
    figures = (f for part in parts.values() for f in part.parity if f.step == Step.HALF)
    return dataclasses.replace(
        card,
        name=name,
        stems=tuple(dataclasses.replace(s, model=parts[s.model].name) for s in card.stems),
        profile=first.profile,
        max_batch_size=first.max_batch_size,
        precision=first.precision,
        output_precision=first.output_precision,
        parts={part.name: part.digest for part in parts.values()},
        parity=(*card.parity, *figures),
        engines=(),
        sdr=None,
    )
