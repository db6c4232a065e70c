import pytest

from gateway.jobs.fields import parse_fields
from stemcore.catalogue.port import ServedModel
from stemcore.errors import ErrorCode, InvalidInput, Unavailable
from stemcore.planning import plan
from stemcore.separation_request import SeparationRequest
from tests.integration.gateway.cards import make_card

MINI = ServedModel(card=make_card("mini"), ready=True)
OTHER = ServedModel(card=make_card("other", stems=("vocals", "rest")), ready=False)
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
