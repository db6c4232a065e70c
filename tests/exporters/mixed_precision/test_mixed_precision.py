"""A graph in mixed precision, run where every fp16 tensor is really rounded."""

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper
from onnx.reference import ReferenceEvaluator

from exporters.audio import Audio
from exporters.card_writer import ModelFolder
from exporters.engine import OnnxEngine
from exporters.errors import UnsupportedModel
from exporters.export import export_model
from exporters.htdemucs.checkpoint import RANDOM_WEIGHTS, TRAINED_ON, save_checkpoint
from exporters.htdemucs.family import load_htdemucs
from exporters.htdemucs.random_weights import SIZES, random_htdemucs
from exporters.mixed_precision import to_mixed_precision
from exporters.mixed_precision.graphs import tensors_of
from exporters.parity import snr_db
from exporters.rounding import RoundingEngine
from exporters.signals import trial_signals
from exporters.specification import WaveformSpecification

REQUIRED_DB = 45.0
# Two runners that round alike and sum in another order, each some 60 dB from fp32.
SAME_LEVEL_DB = 3.0
MICRO = SIZES["tiny"] | {"nfft": 1024, "segment": Fraction(1, 5)}
BUNDLED = ModelFolder(Path("model_repository/stemyard-mini"))


@pytest.fixture(scope="module")
def micro(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    """HTDemucs with opened LayerScale, small enough for onnx's reference evaluator."""
    root = tmp_path_factory.mktemp("micro")
    model = random_htdemucs(seed=1, **MICRO)
    save_checkpoint(model, root / "micro.safetensors", provenance={TRAINED_ON: RANDOM_WEIGHTS})
    reference = load_htdemucs(str(root / "micro.safetensors"))
    return export_model(reference, name="micro", repository=root)


@pytest.fixture(scope="module")
def signals(micro: ModelFolder) -> Mapping[str, Audio]:
    return signals_of(micro)


@pytest.fixture(scope="module")
def mixed(micro: ModelFolder, signals: Mapping[str, Audio]) -> ModelProto:
    return to_mixed_precision(onnx.load(str(micro.model)), signals=[signals["music"]])


def signals_of(folder: ModelFolder) -> Mapping[str, Audio]:
    return trial_signals(WaveformSpecification.of(folder.read_card()))


def rounding(model: ModelProto, root: Path) -> RoundingEngine:
    onnx.save(model, root / "mixed.onnx")
    return RoundingEngine(root / "mixed.onnx", threads=1)


def worst_db(reference: Mapping[str, Audio], candidate: Mapping[str, Audio]) -> float:
    return min(snr_db(reference[stem], candidate[stem]) for stem in reference)


def test_every_stem_keeps_45_db_where_fp16_really_rounds(
    micro: ModelFolder, mixed: ModelProto, signals: Mapping[str, Audio], tmp_path: Path
) -> None:
    engine = rounding(mixed, tmp_path)
    exact = OnnxEngine(micro.model, threads=1)
    for signal in ("music", "noise", "clicks"):
        mix = signals[signal][None]
        assert worst_db(exact.run(mix), engine.run(mix)) >= REQUIRED_DB, signal


def test_the_reference_evaluator_finds_the_same_level(
    micro: ModelFolder, mixed: ModelProto, signals: Mapping[str, Audio], tmp_path: Path
) -> None:
    mix = signals["music"][None]
    exact = OnnxEngine(micro.model, threads=1).run(mix)
    with np.errstate(over="ignore", invalid="ignore"):  # in its sigmoid, on results not used
        outputs = ReferenceEvaluator(mixed).run(None, {"mix": mix})
    by_reference = {o.name: a for o, a in zip(mixed.graph.output, outputs, strict=True)}
    ours_db = worst_db(exact, rounding(mixed, tmp_path).run(mix))
    assert abs(worst_db(exact, by_reference) - ours_db) <= SAME_LEVEL_DB
    assert worst_db(by_reference, rounding(mixed, tmp_path).run(mix)) >= REQUIRED_DB


def test_a_trained_model_keeps_45_db_on_loud_music(tmp_path: Path) -> None:
    """stemyard-mini's decoders exceed 65504 on music: converted plainly, they give NaN."""
    music = signals_of(BUNDLED)["music"]
    mixed = to_mixed_precision(onnx.load(str(BUNDLED.model)), signals=[music])
    truth = OnnxEngine(BUNDLED.model, threads=1).run(music[None])
    assert worst_db(truth, rounding(mixed, tmp_path).run(music[None])) >= REQUIRED_DB


@pytest.mark.parametrize(("shown", "finite"), [(0.0, False), (1.0, True)], ids=["quiet", "loud"])
def test_what_was_seen_to_be_large_is_scaled_down(
    tmp_path: Path, shown: float, finite: bool
) -> None:
    """Two gains of 300 and two that undo them: only those who saw a loud signal are prepared."""
    model = chain_of_gains(300.0, 300.0, 1 / 300, 1 / 300)
    loud = np.ones((1, 8), np.float32)
    mixed = to_mixed_precision(model, signals=[shown * loud])
    with np.errstate(over="ignore", invalid="ignore"):
        (by_reference,) = ReferenceEvaluator(mixed).run(None, {"mix": loud[None]})
    for found in (by_reference, rounding(mixed, tmp_path).run(loud[None])["stem"]):
        assert np.isfinite(found).all() == finite
        assert np.allclose(found, 1.0, atol=2e-3) == finite


def test_products_are_fp16_and_statistics_and_transforms_are_not(mixed: ModelProto) -> None:
    halves = tensors_of(mixed, TensorProto.FLOAT16)
    by_type: dict[str, set[bool]] = {}
    for node in mixed.graph.node:
        kind = "transform" if "/dft/" in node.name else node.op_type
        by_type.setdefault(kind, set()).add(node.output[0] in halves)
    for kind in ("Conv", "ConvTranspose", "MatMul"):
        assert by_type[kind] == {True}
    for kind in ("ReduceSum", "Sqrt", "Softmax", "LayerNormalization", "transform"):
        assert by_type[kind] == {False}


def test_inputs_and_outputs_stay_fp32_unless_asked(
    micro: ModelFolder, mixed: ModelProto, signals: Mapping[str, Audio], tmp_path: Path
) -> None:
    halved = to_mixed_precision(
        onnx.load(str(micro.model)), signals=[signals["music"]], half_outputs=True
    )
    types = {
        label: [t.type.tensor_type.elem_type for t in (*graph.input, *graph.output)]
        for label, graph in (("mixed", mixed.graph), ("halved", halved.graph))
    }
    assert set(types["mixed"]) == {TensorProto.FLOAT}
    assert types["halved"] == [TensorProto.FLOAT] + 4 * [TensorProto.FLOAT16]
    mix = signals["music"][None]
    exact = OnnxEngine(micro.model, threads=1).run(mix)
    assert worst_db(exact, rounding(halved, tmp_path).run(mix)) >= REQUIRED_DB


def test_weights_take_half_the_space_also_where_they_are_transposed(mixed: ModelProto) -> None:
    layouts = {"Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"}
    constants = {tensor.name: tensor for tensor in mixed.graph.initializer}
    for node in mixed.graph.node:
        if node.op_type in layouts:
            assert any(name not in constants for name in node.input if name), node.name
        if node.op_type in ("Conv", "ConvTranspose", "MatMul") and "/dft/" not in node.name:
            given = [constants[name] for name in node.input if name in constants]
            assert {tensor.data_type for tensor in given} <= {TensorProto.FLOAT16}


def test_a_graph_whose_transform_cannot_be_told_is_refused() -> None:
    with pytest.raises(UnsupportedModel, match="transform"):
        to_mixed_precision(chain_of_gains(1.0, scope="other"), signals=[])


def chain_of_gains(*gains: float, scope: str = "analysis") -> ModelProto:
    nodes = [helper.make_node("Identity", ["mix"], ["0"], name=f"/{scope}/Identity")]
    nodes += [
        helper.make_node("Conv", [str(place), f"gain {place}"], [str(place + 1)])
        for place in range(len(gains))
    ]
    nodes.append(helper.make_node("Identity", [str(len(gains))], ["stem"]))
    mix, stem = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 1, 8])
        for name in ("mix", "stem")
    )
    weights = [
        helper.make_tensor(f"gain {place}", TensorProto.FLOAT, [1, 1, 1], [gain])
        for place, gain in enumerate(gains)
    ]
    graph = helper.make_graph(nodes, "chain", [mix], [stem], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
