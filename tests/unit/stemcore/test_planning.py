import dataclasses

import pytest

from gateway.jobs.fields import parse_fields
from stemcore.catalogue.port import ServedModel
from stemcore.errors import ErrorCode, InvalidInput, Unavailable
from stemcore.planning import plan
from stemcore.separation_request import ComplementMode, SeparationRequest
from tests.integration.gateway.cards import make_card

MINI = ServedModel(card=make_card("mini"), ready=True)
OTHER = ServedModel(card=make_card("other", stems=("vocals", "rest")), ready=False)
ALONE = ServedModel(card=make_card("alone", stems=("vocals",)), ready=True)
SPLEETER = ServedModel(
    card=dataclasses.replace(
        make_card("spleeter", stems=("vocals", "accompaniment")),
        join="sum",
        hop=300_000,
        weights="none",
    ),
    ready=True,
)
REFUSED = ServedModel(card=make_card("refused"), ready=True, refusal="No parity.")


def planned(*models: ServedModel, default: str = "mini", **fields: str) -> SeparationRequest:
    return plan(parse_fields(list(fields.items())), models, default_model=default)


def test_the_default_model_is_taken_where_none_is_named() -> None:
    assert planned(MINI, OTHER, REFUSED).model == "mini"


def test_the_only_model_that_may_be_used_is_the_default_where_there_is_no_other() -> None:
    assert planned(OTHER, REFUSED).model == "other"


def test_a_model_that_is_not_ready_yet_is_accepted() -> None:
    assert planned(MINI, OTHER, model="other").model == "other"


def test_stems_come_in_the_models_order_each_once() -> None:
    assert planned(MINI, stems="vocals,drums,vocals").stems == ("drums", "vocals")
    assert planned(MINI).stems == ("drums", "bass", "other", "vocals")


@pytest.mark.parametrize(
    ("models", "fields", "code"),
    [
        ((MINI,), {"model": "nonesuch"}, ErrorCode.UNKNOWN_MODEL),
        ((MINI, REFUSED), {"model": "refused"}, ErrorCode.MODEL_REFUSED),
        ((MINI, OTHER), {"model": "other", "stems": "drums"}, ErrorCode.UNKNOWN_STEM),
        ((MINI,), {"clip": "none"}, ErrorCode.INVALID_REQUEST),
    ],
)
def test_what_no_model_can_do_is_refused(
    models: tuple[ServedModel, ...], fields: dict[str, str], code: ErrorCode
) -> None:
    with pytest.raises(InvalidInput) as caught:
        planned(*models, **fields)
    assert caught.value.code is code
    assert caught.value.details


def test_complements_come_after_the_stems() -> None:
    assert planned(MINI, stems="no_bass,instrumental,vocals,drums").stems == (
        "drums",
        "vocals",
        "no_bass",
        "instrumental",
    )


def test_options_reach_the_request() -> None:
    request = planned(MINI, shifts="2", seed="9", overlap="0", complement="sum", consistency="1")
    assert (request.shifts, request.seed, request.overlap) == (2, 9, 0.0)
    assert (request.complement, request.consistency) == (ComplementMode.SUM, True)


@pytest.mark.parametrize(
    ("model", "fields", "field"),
    [
        (SPLEETER, {"overlap": "0.25"}, "overlap"),
        (SPLEETER, {"overlap": "0"}, "overlap"),
        (ALONE, {"consistency": "true"}, "consistency"),
        (ALONE, {"stems": "no_vocals", "complement": "sum"}, "complement"),
    ],
)
def test_an_option_that_the_model_has_not_is_named(
    model: ServedModel, fields: dict[str, str], field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        planned(model, default=model.card.name, **fields)
    assert caught.value.code is ErrorCode.UNSUPPORTED_OPTION
    assert caught.value.details == {"field": field}


def test_a_default_that_is_not_loaded_is_no_reason_to_guess() -> None:
    with pytest.raises(InvalidInput) as caught:
        planned(MINI, OTHER, default="nonesuch")
    assert caught.value.code is ErrorCode.UNKNOWN_MODEL


def test_without_any_model_it_is_our_fault() -> None:
    with pytest.raises(Unavailable):
        planned(REFUSED)


def test_samples_beyond_full_scale_fit_into_float_files() -> None:
    request = plan(
        parse_fields([("clip", "none"), ("output.bit_depth", "32")]), [MINI], default_model="mini"
    )
    assert request.output.bit_depth == 32
