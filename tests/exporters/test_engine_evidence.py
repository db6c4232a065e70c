"""What a card learns of the engines that may stand in for its own."""

import dataclasses
import json
from pathlib import Path

import pytest

from exporters.card_writer import ModelFolder
from exporters.engine_evidence import judged_engines, prove_engines
from exporters.errors import FactsError
from exporters.openvino_engine import precisions_here
from exporters.reference import Reference
from stemcore.model_card import EngineEvidence, ModelCard, ParityFigure

LOST_DB = {"drums": 0.01, "bass": 0.0, "other": 0.0, "vocals": 0.0}


@pytest.fixture(scope="module")
def engines(exported: ModelFolder, reference: Reference) -> tuple[EngineEvidence, ...]:
    return prove_engines(exported, exported.read_card(), reference=reference)


def test_every_precision_that_this_cpu_computes_is_measured(
    engines: tuple[EngineEvidence, ...],
) -> None:
    assert [(each.engine, each.precision) for each in engines] == [
        ("openvino", precision) for precision in precisions_here()
    ]
    for each in engines:
        assert {figure.signal for figure in each.parity} == {"music", "noise", "silence"}
        steps = {figure.step for figure in each.parity}
        assert steps == {f"engine: OpenVINO {each.precision} against Demucs"}


def test_float32_is_as_exact_as_onnx_runtime(engines: tuple[EngineEvidence, ...]) -> None:
    assert engines[0].precision == "fp32"
    assert engines[0].passed


def test_bfloat16_is_held_to_its_own_floor(
    engines: tuple[EngineEvidence, ...], reference: Reference
) -> None:
    for each in engines[1:]:
        heard = [figure for figure in each.parity if figure.snr_db is not None]
        assert {figure.required_db for figure in heard} == {reference.floors.bf16_db}
        assert all(figure.snr_db < 80 for figure in heard if figure.snr_db), "it rounds"


def judged(path: Path, model_sha256: str | None) -> Path:
    lost = {"openvino-bf16": LOST_DB}
    path.write_text(json.dumps({"songs": 50, "model_sha256": model_sha256, "lost_db": lost}))
    return path


def card_with_bf16(card: ModelCard) -> ModelCard:
    figure = ParityFigure(
        step="bf16", signal="noise", worst_stem="bass", snr_db=40.0, required_db=36.0, passed=True
    )
    evidence = EngineEvidence(engine="openvino", precision="bf16", parity=(figure,))
    return dataclasses.replace(card, engines=(evidence,))


def test_what_engines_lose_on_known_stems_is_added(exported: ModelFolder, tmp_path: Path) -> None:
    card = card_with_bf16(exported.read_card())
    figures = judged(tmp_path / "engines.json", card.files["1/model.onnx"])
    (bf16,) = judged_engines(card, figures).engines
    assert (bf16.sdr_lost_db, bf16.sdr_songs) == (LOST_DB, 50)
    assert bf16.passed


@pytest.mark.parametrize("content", ["{}", "no json"])
def test_a_judgement_of_something_else_is_refused(
    exported: ModelFolder, tmp_path: Path, content: str
) -> None:
    card = card_with_bf16(exported.read_card())
    with pytest.raises(FactsError, match=r"not the card's"):
        judged_engines(card, judged(tmp_path / "other.json", "0" * 64))
    (tmp_path / "broken.json").write_text(content)
    with pytest.raises(FactsError, match="no judgement"):
        judged_engines(card, tmp_path / "broken.json")
