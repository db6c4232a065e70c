"""A model as its authors publish it: fetched by their own loader, exported, verified, installed."""

from pathlib import Path

from exporters.bag import exported, verified
from exporters.card_writer import ModelFolder, new_models
from exporters.errors import ParityError
from exporters.facts import ModelFacts
from exporters.reference import BagReference, Reference
from stemcore.model_card import ModelCard, Profile


def served_name(model: str) -> str:
    """A name that Triton takes: spleeter:4stems is spleeter-4stems."""
    return model.replace(":", "-")


def install(
    reference: Reference | BagReference,
    *,
    name: str,
    repository: Path,
    profile: Profile = "cpu",
    threads: int = 0,
    facts: ModelFacts | None = None,
) -> list[ModelCard]:
    """The cards of the model, or of a bag's parts and of the bag, now in `repository`.

    Raises ParityError, and leaves the repository as it was, when the export is not the reference.
    """
    with new_models(repository) as models:
        exported(
            reference,
            name=name,
            repository=models,
            profile=profile,
            threads=threads,
            facts=facts,
        )
        cards = list(verified(ModelFolder(models / name), name=name, reference=reference))
        _require_parity(cards)
    return cards


def _require_parity(cards: list[ModelCard]) -> None:
    failed = [
        f"{card.name}, {figure.step}, {figure.signal}"
        for card in cards
        for figure in card.parity
        if not figure.passed
    ]
    if failed:
        raise ParityError(f"not installed: it differs from its reference ({'; '.join(failed)})")
