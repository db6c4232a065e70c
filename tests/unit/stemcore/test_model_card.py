import dataclasses
import json
from typing import Any

import pytest

from stemcore.model_card import (
    CardError,
    EngineEvidence,
    Licences,
    ModelCard,
    ParityFigure,
    SdrEvidence,
    StemSource,
)

FIGURE = ParityFigure(
    step="engine",
    signal="click",
    worst_stem="bass",
    snr_db=101.5,
    required_db=95.0,
    passed=True,
)
SILENCE = ParityFigure(
    step="engine",
    signal="silence",
    worst_stem="bass",
    abs_error=1e-9,
    allowed_abs_error=1e-6,
    passed=True,
)


def make_card(**changes: Any) -> ModelCard:
    card = ModelCard(
        name="tiny",
        description="a card for tests",
        family="htdemucs",
        stems=tuple(StemSource(stem=s, model="tiny", output=s) for s in ("drums", "bass")),
        sample_rate=44_100,
        segment_samples=343_980,
        parameters=1_000,
        files={"1/model.onnx": "a" * 64},
        parity=(FIGURE, SILENCE),
        sdr=SdrEvidence(
            test_set="songs", songs=2, median_db={"drums": 5.0}, yardsticks={"mix": {"drums": 1.0}}
        ),
        licences=Licences(code="MIT", weights="MIT", noncommercial=False),
        provenance={"torch": "2.15"},
    )
    return dataclasses.replace(card, **changes)


def edited(**changes: Any) -> str:
    return json.dumps(json.loads(make_card().to_json()) | changes)


def test_a_card_survives_its_json() -> None:
    card = make_card()
    assert ModelCard.from_json(card.to_json()) == card


def test_integers_in_float_fields_become_floats() -> None:
    card = ModelCard.from_json(edited(overlap=0))
    assert isinstance(card.overlap, float)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"schema_version": 2}, "unknown schema 2"),
        ({"colour": "red"}, "unknown fields: colour"),
        ({"sample_rate": "44100"}, "sample_rate must be of type int"),
        ({"sample_rate": True}, "sample_rate must be of type int"),
        ({"sample_rate": 0}, "sizes must be > 0"),
        ({"stems": []}, "no stems"),
        ({"stems": [{"stem": "drums", "model": "m"}]}, r"stems\[0\] lacks fields: output"),
        ({"stems": [{"stem": "a", "model": "m", "output": "a"}] * 2}, "a stem appears twice"),
        ({"overlap": 1.0}, "overlap"),
        ({"join": "max"}, "join must be one of mean"),
        ({"profile": "toaster"}, "profile must be one of cpu"),
        ({"files": {"1/model.onnx": "short"}}, "not a sha256"),
        ({"files": {}}, "files or parts"),
        ({"files": ["1/model.onnx"]}, "files must be an object"),
        ({"name": "../etc"}, "not a model name"),
        ({"licences": None}, "licences must be an object"),
        ({"demonstration": 1}, "demonstration must be of type bool"),
    ],
)
def test_a_bad_field_is_refused_with_its_name(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(CardError, match=complaint):
        ModelCard.from_json(edited(**changes))


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", "{"])
def test_what_is_no_card_is_refused(text: str) -> None:
    with pytest.raises(CardError):
        ModelCard.from_json(text)


def test_a_missing_field_is_refused() -> None:
    fields = json.loads(make_card().to_json())
    del fields["segment_samples"]
    with pytest.raises(CardError, match="lacks fields: segment_samples"):
        ModelCard.from_json(json.dumps(fields))


def test_a_figure_cannot_claim_to_pass_below_its_floor() -> None:
    with pytest.raises(CardError, match="contradicts"):
        dataclasses.replace(FIGURE, snr_db=94.9)


def test_a_figure_without_a_limit_is_refused() -> None:
    with pytest.raises(CardError, match="no figure or no limit"):
        dataclasses.replace(FIGURE, required_db=None)


def test_parity_needs_evidence_and_all_of_it() -> None:
    failed = dataclasses.replace(FIGURE, snr_db=50.0, passed=False)
    assert make_card().parity_passed
    assert not make_card(parity=()).parity_passed
    assert not make_card(parity=(FIGURE, failed)).parity_passed


def test_the_digest_follows_the_files_and_not_the_words() -> None:
    card = make_card(files={"1/model.onnx": "a" * 64, "1/weights.bin": "b" * 64})
    shuffled = make_card(files=dict(reversed(card.files.items())), description="other words")
    assert card.digest == shuffled.digest
    assert card.digest != make_card().digest


def test_an_engine_that_stands_in_brings_its_own_parity_and_digest() -> None:
    rough = dataclasses.replace(FIGURE, step="bf16", snr_db=41.0, required_db=36.0)
    evidence = EngineEvidence(engine="openvino", precision="bf16", parity=(rough,))
    card = make_card(engines=(evidence,))
    served = card.served_by(evidence)
    assert (served.engine, served.precision, served.parity) == ("openvino", "bf16", (rough,))
    assert served.parity_passed
    digests = {card.digest, served.digest, dataclasses.replace(served, precision="fp32").digest}
    assert len(digests) == 3
    assert ModelCard.from_json(served.to_json()) == served


def test_a_cards_own_engine_is_known_with_the_others() -> None:
    card = make_card()
    own = card.evidence_for("onnxruntime", "fp32")
    assert own is not None
    assert own.parity == card.parity
    assert card.evidence_for("openvino", "bf16") is None


@pytest.mark.parametrize(("lost_db", "passed"), [(-0.01, True), (0.05, True), (0.06, False)])
def test_an_engine_passes_by_what_it_loses_on_known_stems(lost_db: float, passed: bool) -> None:
    evidence = EngineEvidence(
        engine="openvino",
        precision="bf16",
        parity=(FIGURE,),
        sdr_lost_db={"drums": lost_db, "bass": 0.0},
        sdr_songs=50,
    )
    assert evidence.passed is passed


def test_no_engine_passes_without_parity() -> None:
    assert not EngineEvidence(engine="openvino", precision="bf16", parity=()).passed


@pytest.mark.parametrize(("overlap", "hop"), [(0.0, 343_980), (0.25, 257_985), (0.3, 240_785)])
def test_the_hop_is_the_float_expression_of_demucs(overlap: float, hop: int) -> None:
    assert make_card().hop_samples(overlap) == hop


def test_the_hop_defaults_to_the_overlap_of_the_card() -> None:
    assert make_card(overlap=0.5).hop_samples() == make_card().hop_samples(0.5)
