"""How engines are judged on known stems: Demucs' loop around each, and medians compared."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from exporters.audio import Audio
from exporters.rounding import RoundingEngine
from synthesis import STEMS
from tests.serving.small_models import write_model
from training.__main__ import WEIGHTS
from training.engines import HALF, OWN, document, engines_of, separator

RATE = 44_100
TOLERANCE = 1e-4


class Quarters:
    """Each stem is a quarter of the mix."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def run(self, mix: Audio) -> Mapping[str, Audio]:
        self.batches.append(len(mix))
        return dict.fromkeys(STEMS, mix / 4)


def test_the_engine_stands_in_for_the_model_in_demucs_own_loop() -> None:
    mix = np.random.default_rng(1).standard_normal((2, 9 * RATE)).astype(np.float32)
    mix -= mix.mean()
    engine = Quarters()
    stems = separator(WEIGHTS, engine).separate(mix, truth={})
    assert engine.batches == [1, 1], "9 s are two windows"
    assert set(stems) == set(STEMS)
    for stem in stems.values():
        np.testing.assert_allclose(stem, mix / 4, atol=TOLERANCE)


def test_the_loss_is_of_the_medians_over_the_songs(tmp_path: Path) -> None:
    served = tmp_path / "model.onnx"
    served.write_bytes(b"a model")
    judged = [
        {OWN: dict.fromkeys(STEMS, own), "openvino-bf16": dict.fromkeys(STEMS, rough)}
        for own, rough in ((5.0, 4.99), (7.0, 6.98), (9.0, 8.0))
    ]
    found = document(judged, served=served, command=("made", "here"))
    assert found["lost_db"] == {"openvino-bf16": dict.fromkeys(STEMS, 0.02)}
    assert found["songs"] == 3
    assert len(found["model_sha256"]) == 64
    assert found["command"] == "made here"


def test_fp16_is_judged_where_the_converted_model_is_given(tmp_path: Path) -> None:
    model = write_model(tmp_path, "gains") / "1" / "model.onnx"
    assert HALF not in engines_of(model, None)
    engines = engines_of(model, model)
    assert {OWN, HALF} <= set(engines)
    assert isinstance(engines[HALF], RoundingEngine)
