"""A bag of small models, whole with cards, configs and its ensemble."""

from collections.abc import Mapping
from pathlib import Path

from stemcore.model_card import ModelCard, StemSource
from tests.serving.small_models import GAINS, small_card, write_described, write_model


def write_bag(repository: Path, name: str = "bag", *, gains: Mapping[str, float] = GAINS) -> Path:
    """A model per stem of `gains`, and an ensemble of them; returns the ensemble's folder."""
    parts = [_write_part(repository, name, stem, gain) for stem, gain in gains.items()]
    card = small_card(
        name,
        stems={part.stem_names[0]: part.name for part in parts},
        parts={part.name: part.digest for part in parts},
    )
    folder = repository / name
    (folder / "1").mkdir(parents=True)
    describe_bag(folder, card)
    return folder


def describe_bag(folder: Path, card: ModelCard) -> None:
    """The card, and the ensemble that it promises."""
    steps = ", ".join(_step(source) for source in card.stems)
    ensemble = f'platform: "ensemble"\nensemble_scheduling {{ step [ {steps} ] }}\n'
    write_described(folder, card, ensemble)


def _write_part(repository: Path, bag: str, stem: str, gain: float) -> ModelCard:
    folder = write_model(repository, f"{bag}-{stem}", gains={stem: gain}, part_of=bag)
    return ModelCard.from_json((folder / "card.json").read_text())


def _step(source: StemSource) -> str:
    maps = (
        'input_map { key: "mix" value: "mix" } '
        f'output_map {{ key: "{source.output}" value: "{source.stem}" }}'
    )
    return f'{{ model_name: "{source.model}" model_version: -1 {maps} }}'
