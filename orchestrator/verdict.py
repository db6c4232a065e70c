"""What is said about a result: figures and warnings."""

from collections.abc import Mapping
from typing import Any

from orchestrator.delivery import DeliveryReport
from orchestrator.joining import JoinReport
from orchestrator.mix import CHANNELS, MixFacts
from stemcore.model_card import ModelCard
from stemcore.separation_request import SeparationRequest


def measures_of(joined: JoinReport, request: SeparationRequest, card: ModelCard) -> dict[str, Any]:
    """The null depth, when all the model's stems were made."""
    depth_db = joined.null.depth_db
    if depth_db is None or set(request.stems) != set(card.stem_names):
        return {}
    return {"null_depth_db": round(depth_db, 2)}


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
