from dataclasses import replace
from typing import Any

import pytest

from stemcore.catalogue.port import ServedModel
from stemcore.errors import ErrorCode, InvalidInput, Unavailable
from stemcore.planning import plan
from stemcore.presets import FOUR_STEMS, PRESETS, choose_for, find_preset
from stemcore.separation_request import SeparationRequest
from stemcore.submission import SubmissionFields, checked
from tests.integration.gateway.cards import make_card

SIX = (*FOUR_STEMS, "guitar", "piano")
FIVE = ("vocals", "piano", "drums", "bass", "other")
TWO = ("vocals", "accompaniment")


def served(
    name: str,
    family: str,
    *,
    millions: float,
    stems: tuple[str, ...] = FOUR_STEMS,
    ready: bool = True,
    refusal: str | None = None,
    **changes: Any,
) -> ServedModel:
    card = make_card(name, stems=stems)
    card = replace(card, family=family, parameters=round(millions * 1e6), **changes)
    return ServedModel(card=card, ready=ready, refusal=refusal)


def spleeter(name: str, *, millions: float, stems: tuple[str, ...]) -> ServedModel:
    joined: dict[str, Any] = {"join": "sum", "weights": "none", "hop": 1_000}
    return served(name, "spleeter", millions=millions, stems=stems, **joined)


MINI = served("mini", "htdemucs", millions=1.6, demonstration=True)
HTDEMUCS = served("htdemucs", "htdemucs", millions=42)
SIX_STEMS = served("htdemucs_6s", "htdemucs", millions=27, stems=SIX)
MMI = served("hdemucs_mmi", "hdemucs", millions=84)
SPLEETER = (
    spleeter("spleeter-2stems", millions=20, stems=TWO),
    spleeter("spleeter-4stems", millions=39, stems=FOUR_STEMS),
    spleeter("spleeter-5stems", millions=49, stems=FIVE),
)
ALL = (*SPLEETER, MINI, SIX_STEMS, HTDEMUCS, MMI)


def fine_tuned() -> ServedModel:
    model = served("htdemucs_ft", "htdemucs", millions=168)
    parts = {f"ft-{stem}": "a" * 64 for stem in FOUR_STEMS}
    stems = [replace(source, model=f"ft-{source.stem}") for source in model.card.stems]
    return replace(model, card=replace(model.card, files={}, parts=parts, stems=tuple(stems)))


def chosen(preset: str, *models: ServedModel) -> str | None:
    found = find_preset(preset)
    model = choose_for(found, models, stems=found.stems)
    return None if model is None else model.card.name


def planned(*models: ServedModel, **fields: Any) -> SeparationRequest:
    return plan(checked(fields), models, default_model="mini")


def test_the_six_purposes_are_there() -> None:
    names = [preset.name for preset in PRESETS]
    assert names == ["karaoke", "vocals", "drums", "practice", "best", "fast"]


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_a_presets_options_are_fields_of_a_submission(preset: Any) -> None:
    fields = SubmissionFields.model_validate({**preset.options, "stems": preset.stems})
    assert fields.model_fields_set == {*preset.options, "stems"}


@pytest.mark.parametrize(
    ("preset", "model"),
    [
        ("karaoke", "htdemucs_ft"),
        ("vocals", "htdemucs_ft"),
        ("drums", "htdemucs_ft"),
        ("practice", "htdemucs_6s"),
        ("best", "htdemucs_ft"),
        ("fast", "spleeter-4stems"),
    ],
)
def test_of_all_models_each_purpose_takes_its_own(preset: str, model: str) -> None:
    assert chosen(preset, *ALL, fine_tuned()) == model
    assert chosen(preset, *reversed((*ALL, fine_tuned()))) == model


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_a_demonstration_serves_where_there_is_nothing_else(preset: Any) -> None:
    assert chosen(preset.name, MINI) == "mini"
    assert chosen(preset.name, MINI, HTDEMUCS) == "htdemucs"


@pytest.mark.parametrize(
    ("preset", "model"),
    [("karaoke", "spleeter-5stems"), ("drums", "spleeter-5stems"), ("best", "spleeter-4stems")],
)
def test_the_rest_of_a_song_is_not_taken_from_a_model_that_takes_more_out(
    preset: str, model: str
) -> None:
    assert chosen(preset, *SPLEETER) == model


def test_a_variant_of_a_family_ranks_with_it() -> None:
    wide = spleeter("spleeter-4stems-16kHz", millions=39, stems=FOUR_STEMS)
    wide = replace(wide, card=replace(wide.card, family="spleeter-16kHz"))
    assert chosen("best", wide, MMI) == "hdemucs_mmi"
    assert chosen("fast", wide, MMI) == "spleeter-4stems-16kHz"


def test_one_that_is_ready_goes_before_a_better_one_that_is_not() -> None:
    loading = replace(HTDEMUCS, ready=False)
    assert chosen("best", loading, MMI) == "hdemucs_mmi"
    assert chosen("best", loading) == "htdemucs"


def test_a_refused_model_is_passed_over() -> None:
    refused = replace(HTDEMUCS, refusal="Not for commerce.")
    assert chosen("best", refused, MINI) == "mini"
    assert chosen("best", refused) is None


def test_least_work_counts_only_the_parts_that_are_needed() -> None:
    heavy = served("large", "htdemucs", millions=60)
    assert planned(heavy, fine_tuned(), preset="fast", stems=["drums"]).model == "htdemucs_ft"
    assert planned(heavy, fine_tuned(), preset="fast", stems=["no_drums"]).model == "htdemucs_ft"
    assert planned(heavy, fine_tuned(), preset="fast").model == "large"


def test_a_preset_gives_model_stems_and_options_and_its_name_stays() -> None:
    request = planned(*ALL, preset="best")
    assert (request.model, request.stems, request.shifts) == ("htdemucs", FOUR_STEMS, 2)
    assert request.preset == "best"
    assert SeparationRequest.from_dict(request.to_dict()) == request
    assert planned(*ALL, preset="karaoke").stems == ("instrumental",)
    assert planned(*ALL, preset="practice").consistency


def test_what_is_given_beside_a_preset_overrides_it() -> None:
    request = planned(
        *ALL, preset="best", shifts=0, stems=["vocals"], output={"format": "flac"}, clip="rescale"
    )
    assert (request.shifts, request.stems, request.output.format) == (0, ("vocals",), "flac")
    assert request.clip == "rescale"


def test_a_model_given_beside_a_preset_wins() -> None:
    request = planned(*ALL, preset="karaoke", model="mini")
    assert (request.model, request.stems) == ("mini", ("instrumental",))
    with pytest.raises(InvalidInput) as caught:
        planned(*ALL, preset="drums", model="spleeter-2stems")
    assert caught.value.code is ErrorCode.UNKNOWN_STEM


def test_a_model_gets_no_option_of_the_preset_that_it_has_not() -> None:
    assert planned(*SPLEETER, preset="fast").overlap is None
    assert planned(HTDEMUCS, preset="fast").overlap == 0.1


@pytest.mark.parametrize(
    ("models", "preset", "code"),
    [
        (ALL, "loudest", ErrorCode.UNKNOWN_PRESET),
        (SPLEETER[:1], "drums", ErrorCode.PRESET_UNAVAILABLE),
    ],
)
def test_a_preset_that_nothing_can_serve_is_refused(
    models: tuple[ServedModel, ...], preset: str, code: ErrorCode
) -> None:
    with pytest.raises(InvalidInput) as caught:
        planned(*models, preset=preset)
    assert caught.value.code is code
    assert caught.value.details


def test_without_any_model_it_is_our_fault() -> None:
    with pytest.raises(Unavailable):
        planned(replace(MINI, refusal="no"), preset="best")
