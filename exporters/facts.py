"""What no tensor says of a model: words, licences, evidence. Read from files that people commit."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exporters.errors import FactsError
from stemcore import strict_json
from stemcore.model_card import CardError, Licences, ModelCard, SdrEvidence

CHECKPOINT_SHA256 = "checkpoint_sha256"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    description: str
    licences: Licences
    provenance: Mapping[str, str] = field(default_factory=dict[str, str])
    demonstration: bool = False
    sdr: SdrEvidence | None = None


def read_facts(path: Path) -> ModelFacts:
    """Raises FactsError."""
    try:
        return strict_json.load(ModelFacts, path.read_text())
    except (OSError, strict_json.StrictJsonError, CardError) as error:
        raise FactsError(f"{path}: {error}") from error


def read_evidence(path: Path, *, checkpoint_sha256: str | None) -> SdrEvidence:
    """An evaluation as `python -m training evaluate` records it, of these very weights.

    Raises FactsError.
    """
    try:
        document = json.loads(path.read_text())
        evidence, weights = _evidence(document, name=path.stem), document["weights_sha256"]
    except (OSError, json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise FactsError(f"{path} is no recorded evaluation: {error!r}") from error
    if weights != checkpoint_sha256:
        raise FactsError(f"{path} judges weights {weights}, the card names {checkpoint_sha256}")
    return evidence


def facts_of(card: ModelCard) -> ModelFacts:
    return ModelFacts(
        description=card.description,
        licences=card.licences,
        provenance=card.provenance,
        demonstration=card.demonstration,
        sdr=card.sdr,
    )


def with_facts(card: ModelCard, facts: ModelFacts) -> ModelCard:
    """The facts' words and licences; what the card knows of its origin stays."""
    return dataclasses.replace(
        card,
        description=facts.description,
        licences=facts.licences,
        provenance=dict(card.provenance) | dict(facts.provenance),
        demonstration=facts.demonstration,
        sdr=facts.sdr or card.sdr,
    )


def _evidence(document: Mapping[str, Any], *, name: str) -> SdrEvidence:
    medians = dict(document["medians_db"])
    songs = document["per_song_db"]["model"]
    return SdrEvidence(
        test_set=name,
        songs=document["songs"],
        median_db=medians.pop("model"),
        yardsticks=medians,
        per_song_db={str(place): scores for place, scores in enumerate(songs)},
    )
