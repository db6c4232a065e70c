import dataclasses
from typing import Any

import pytest

from stemcore.errors import ErrorCode, InvalidInput
from stemcore.model_card import ModelCard
from stemcore.separation_request import ComplementMode, SeparationRequest
from stemcore.stem_choice import (
    MadeBy,
    WantedFile,
    chosen_names,
    complements_of,
    inferred_stems,
    wanted_files,
)
from tests.integration.gateway.cards import make_card

CARD = make_card("mini")
TWO = make_card("two", stems=("vocals", "accompaniment"))


def asked(*names: str, card: ModelCard = CARD, **wishes: Any) -> tuple[str, ...]:
    """What has to be computed for these names."""
    request = dataclasses.replace(SeparationRequest(model=card.name, stems=names), **wishes)
    files = wanted_files(request, card)
    return inferred_stems(files, card, consistency=request.consistency)


def test_every_stem_has_a_complement_and_vocals_have_two_names() -> None:
    assert list(complements_of(CARD.stem_names).items()) == [
        ("no_drums", "drums"),
        ("no_bass", "bass"),
        ("no_other", "other"),
        ("no_vocals", "vocals"),
        ("instrumental", "vocals"),
    ]
    assert "instrumental" not in complements_of(("drums", "bass"))


def test_a_stem_of_a_complements_name_stays_a_stem() -> None:
    card = make_card("odd", stems=("vocals", "instrumental"))
    assert dict(complements_of(card.stem_names)) == {
        "no_vocals": "vocals",
        "no_instrumental": "instrumental",
    }
    request = SeparationRequest(model="odd", stems=("instrumental", "no_vocals"))
    assert chosen_names(("no_vocals", "instrumental"), card) == request.stems
    assert wanted_files(request, card) == (
        WantedFile(name="instrumental", stem="instrumental"),
        WantedFile(name="no_vocals", stem="vocals", made_by=MadeBy.SUBTRACTION),
    )


def test_without_names_there_are_the_models_own_stems() -> None:
    assert chosen_names((), CARD) == CARD.stem_names


def test_a_native_accompaniment_is_a_stem_like_any_other() -> None:
    assert chosen_names(("instrumental", "accompaniment"), TWO) == ("accompaniment", "instrumental")
    assert asked("accompaniment", card=TWO) == ("accompaniment",)


def test_an_unknown_name_is_told_what_there_is() -> None:
    with pytest.raises(InvalidInput) as refusal:
        chosen_names(("drums", "no_kazoo"), TWO)
    assert refusal.value.code is ErrorCode.UNKNOWN_STEM
    assert refusal.value.details == {
        "unknown": ["drums", "no_kazoo"],
        "stems": ["vocals", "accompaniment"],
        "complements": ["no_vocals", "instrumental", "no_accompaniment"],
    }


def test_two_names_of_one_complement_are_refused() -> None:
    with pytest.raises(InvalidInput) as refusal:
        chosen_names(("no_vocals", "instrumental"), CARD)
    assert refusal.value.details == {"field": "stems", "same": ["no_vocals", "instrumental"]}


@pytest.mark.parametrize(
    ("names", "wishes", "inferred"),
    [
        (("instrumental",), {}, ("vocals",)),
        (("vocals", "no_vocals"), {}, ("vocals",)),
        (("no_drums", "no_vocals"), {}, ("drums", "vocals")),
        (("no_vocals",), {"complement": ComplementMode.SUM}, ("drums", "bass", "other")),
        (("vocals", "no_vocals"), {"complement": ComplementMode.SUM}, CARD.stem_names),
        (("vocals",), {"complement": ComplementMode.SUM}, ("vocals",)),
        (("vocals",), {"consistency": True}, CARD.stem_names),
    ],
)
def test_only_what_is_needed_is_computed(
    names: tuple[str, ...], wishes: dict[str, Any], inferred: tuple[str, ...]
) -> None:
    assert asked(*names, **wishes) == inferred
