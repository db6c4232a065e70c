"""What is said about a result: figures and warnings."""

from collections.abc import Mapping
from typing import Any

from orchestrator.delivered_null import DeliveredNull
from orchestrator.delivery import DeliveryReport
from orchestrator.finishing import Recipe
from orchestrator.joining import JoinReport
from orchestrator.mix import CHANNELS, MixFacts
from orchestrator.null_test import NullTest
from stemcore.model_card import ModelCard


def measures_of(
    joined: JoinReport, delivered: DeliveredNull | None, recipe: Recipe, card: ModelCard
) -> dict[str, Any]:
    """The null depth: of the files where they are to add up, else of all stems where all are made.

    With it the gain that these files have, where rescaling was needed.
    """
    if delivered is not None:
        gain = {} if delivered.gain == 1 else {"gain_db": round(delivered.gain_db, 2)}
        return _depth(delivered.null) | gain
    if {file.name for file in recipe.files} >= set(card.stem_names):
        return _depth(joined.null)
    return {}


def _depth(null: NullTest) -> dict[str, Any]:
    return {} if null.depth_db is None else {"null_depth_db": round(null.depth_db, 2)}


def warnings_of(facts: MixFacts, deliveries: Mapping[str, DeliveryReport]) -> list[dict[str, str]]:
    """What a careful user would want to know."""
    warnings: list[dict[str, str]] = []
    if facts.source.channels > CHANNELS:
        message = f"{facts.source.channels} channels were mixed down to two (ITU-R BS.775)."
        warnings.append({"code": "mixed_down", "message": message})
    if facts.damaged_packets:
        message = f"{facts.damaged_packets} damaged packets of the source were left out."
        warnings.append({"code": "damaged_packets", "message": message})
    for stem, report in deliveries.items():
        if report.clipped_samples:
            message = f"{report.clipped_samples} samples of {stem} were cut at full scale."
            warnings.append({"code": "clipped_samples", "message": message})
    return warnings
