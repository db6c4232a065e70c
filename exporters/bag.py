"""A bag: a model for each stem, and the ensemble of them that bears the public name."""

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from exporters.audio import Audio
from exporters.card_writer import ModelFolder, new_models, write_bag
from exporters.engine import OnnxEngine
from exporters.errors import ModelFolderError
from exporters.export import export_model, specify
from exporters.facts import ModelFacts, with_facts
from exporters.profiles import PROFILES
from exporters.reference import BagReference, Reference
from exporters.verification import measure, verify_model
from stemcore.model_card import ModelCard, Profile, StemSource


def part_name(bag: str, stem: str) -> str:
    return f"{bag}-{stem}"


def exported(reference: Reference | BagReference, **choices: Any) -> ModelFolder:
    """`export_model` or `export_bag`, whose `choices` are the same."""
    if isinstance(reference, BagReference):
        return export_bag(reference, **choices)
    return export_model(reference, **choices)


def export_bag(
    bag: BagReference,
    *,
    name: str,
    repository: Path,
    profile: Profile = "cpu",
    threads: int = 0,
    facts: ModelFacts | None = None,
) -> ModelFolder:
    """Writes the parts and the bag, all or none; none is verified yet."""
    with new_models(repository) as models:
        cards: dict[str, ModelCard] = {}
        for stem, specialist in bag.specialists.items():
            folder = export_model(
                specialist,
                name=part_name(name, stem),
                repository=models,
                profile=profile,
                threads=threads,
                facts=facts,
                part_of=name,
            )
            cards[stem] = folder.read_card()
        card = _bag_card(bag, name=name, parts=cards)
        write_bag(models / name, card if facts is None else with_facts(card, facts))
    return ModelFolder(repository / name)


def verified(
    folder: ModelFolder, *, name: str, reference: Reference | BagReference
) -> Iterator[ModelCard]:
    """One card of a model; of a bag those of its parts and its own. Raises ParityError."""
    if isinstance(reference, BagReference):
        yield from verify_bag(folder, name=name, bag=reference)
    else:
        yield verify_model(folder, name=name, reference=reference)


def verify_bag(folder: ModelFolder, *, name: str, bag: BagReference) -> Iterator[ModelCard]:
    """The card of each part as it is measured against its own model, then the bag's.

    The bag is measured against the whole as its authors run it, and fails with any of its parts.
    Raises ParityError, and leaves the bag's card without parity, when a part declares something
    else than it should.
    """
    written, repository = folder.read_card(), folder.path.parent
    if not written.parts:
        raise ModelFolderError(f"{name} is a single model, and the checkpoint a bag")
    folder.write(dataclasses.replace(written, parity=()), threads=0)
    parts = {stem: ModelFolder(repository / part_name(name, stem)) for stem in bag.specialists}
    cards: dict[str, ModelCard] = {}
    for stem, part in parts.items():
        cards[stem] = verify_model(part, name=part.path.name, reference=bag.specialists[stem])
        yield cards[stem]
    engine = BagEngine({stem: part.model for stem, part in parts.items()})
    figures = tuple(measure(engine, specify(bag.whole, name=name), bag.whole))
    failed = tuple(f for card in cards.values() for f in card.parity if not f.passed)
    described = dataclasses.replace(
        written, parts={card.name: card.digest for card in cards.values()}, parity=failed + figures
    )
    folder.write(described, threads=0)
    yield described


@dataclasses.dataclass(frozen=True, slots=True)
class BagEngine:
    """The parts' files by stem, opened one after the other: at once they hold several GB each."""

    models: Mapping[str, Path]

    def run(self, mix: Audio) -> Mapping[str, Audio]:
        """[batch, channels, N] to one such array per stem."""
        return {stem: OnnxEngine(path).run(mix)[stem] for stem, path in self.models.items()}


def _bag_card(bag: BagReference, *, name: str, parts: Mapping[str, ModelCard]) -> ModelCard:
    """A card without parity, in all else that of the whole."""
    whole, profile = bag.whole, next(iter(parts.values())).profile
    return ModelCard(
        name=name,
        description=whole.facts.description,
        family=whole.family,
        stems=tuple(
            StemSource(stem=stem, model=part.name, output=stem) for stem, part in parts.items()
        ),
        sample_rate=whole.sample_rate,
        channels=whole.channels,
        segment_samples=whole.segment_samples,
        profile=profile,
        max_batch_size=PROFILES[profile].max_batch_size,
        parameters=whole.parameters,
        parts={part.name: part.digest for part in parts.values()},
        licences=whole.facts.licences,
        provenance=whole.facts.provenance,
        demonstration=whole.facts.demonstration,
    )
