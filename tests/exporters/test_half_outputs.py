"""Models whose stems travel as fp16, and those that are refused it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from tritonclient.grpc import model_config_pb2

from exporters import derive
from exporters.card_writer import MODEL_PATH, ModelFolder, file_sha256
from exporters.engine import OnnxEngine
from exporters.errors import ModelFolderError, ParityError
from exporters.half_outputs import REQUIRED_DB, halve_model_outputs
from exporters.htdemucs.family import load_htdemucs
from exporters.parity import Step
from exporters.reference import Reference
from exporters.triton_config import parse_config
from exporters.verification import verify_model
from stemcore.model_card import Licences, ModelCard, ParityFigure, StemSource
from tests.exporters.htdemucs.bags import write_model
from tests.exporters.small_graphs import MICRO

SAMPLES = 44_100
PROVEN = ParityFigure(
    step=Step.ENGINE, signal="music", worst_stem="lead", snr_db=100.0, required_db=95.0, passed=True
)


def gains(root: Path, **levels: float) -> ModelFolder:
    """A proven model whose stems are the mix times a gain each."""
    folder = ModelFolder(root / "gains")
    folder.model.parent.mkdir(parents=True)
    shape = ["batch", 2, SAMPLES]
    tensors = [
        helper.make_tensor(f"{n}_gain", TensorProto.FLOAT, [], [g]) for n, g in levels.items()
    ]
    graph = helper.make_graph(
        [helper.make_node("Mul", ["mix", f"{name}_gain"], [name]) for name in levels],
        "gains",
        [helper.make_tensor_value_info("mix", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in levels],
        tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(folder.model))
    folder.write(card_of(folder, *levels), threads=2)
    return folder


def card_of(folder: ModelFolder, *stems: str) -> ModelCard:
    return ModelCard(
        name="gains",
        description="The mix times a gain per stem.",
        family="test",
        stems=tuple(StemSource(stem=stem, model="gains", output=stem) for stem in stems),
        sample_rate=44_100,
        segment_samples=SAMPLES,
        parameters=len(stems),
        files={MODEL_PATH: file_sha256(folder.model)},
        parity=(PROVEN,),
        licences=Licences(code="MIT", weights="none", noncommercial=False),
    )


def test_the_outputs_alone_are_rounded(tmp_path: Path) -> None:
    source = gains(tmp_path, lead=0.7, rest=0.3)
    where = ["--source", str(tmp_path), "--repository", str(tmp_path / "new")]
    assert derive.main(["outputs", "gains", "--name", "half", *where]) == 0
    halved = ModelFolder(tmp_path / "new" / "half")
    mix = np.random.default_rng(1).standard_normal((1, 2, SAMPLES), dtype=np.float32)
    exact, rounded = OnnxEngine(source.model).run(mix), OnnxEngine(halved.model).run(mix)
    for stem in ("lead", "rest"):
        assert rounded[stem].dtype == np.float16
        assert np.array_equal(rounded[stem], exact[stem].astype(np.float16))


def test_card_and_config_say_so(tmp_path: Path) -> None:
    source = gains(tmp_path, lead=0.7)
    halved = halve_model_outputs(source, name="half", repository=tmp_path)
    card, config = halved.read_card(), parse_config((halved.path / "config.pbtxt").read_text())
    assert (card.precision, card.output_precision, card.profile) == ("fp32", "fp16", "cpu")
    assert card.parity_passed
    assert card.parity[0] == PROVEN
    figures = {each.signal: each for each in card.parity if each.step == Step.HALF_OUTPUTS}
    assert {"music", "quiet music", "noise", "silence"} <= set(figures)
    assert figures["quiet music"].required_db == REQUIRED_DB
    assert card.files == {MODEL_PATH: file_sha256(halved.model)}
    assert [output.data_type for output in config.output] == [model_config_pb2.TYPE_FP16]
    assert [each.data_type for each in config.input] == [model_config_pb2.TYPE_FP32]


def test_a_stem_that_loses_too_much_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    source = gains(tmp_path, lead=1.0, whisper=1e-3)
    repository = tmp_path / "new"
    with pytest.raises(ParityError, match=r"quiet music .* dB \(whisper\).*fp32 outputs"):
        halve_model_outputs(source, name="half", repository=repository)
    assert list(repository.iterdir()) == []


def test_what_would_overflow_is_refused(tmp_path: Path) -> None:
    source = gains(tmp_path, lead=1e5)
    with pytest.raises(ParityError, match="60"):
        halve_model_outputs(source, name="half", repository=tmp_path / "new")


def test_a_derived_model_is_not_verified_and_keeps_its_figures(tmp_path: Path) -> None:
    halved = halve_model_outputs(gains(tmp_path, lead=0.7), name="half", repository=tmp_path)
    before = halved.read_card()
    reference = load_htdemucs(str(write_model(tmp_path / "any.safetensors", seed=1, **MICRO)))
    assert isinstance(reference, Reference)
    with pytest.raises(ModelFolderError, match="derive it again"):
        verify_model(halved, name="half", reference=reference)
    assert halved.read_card() == before


def test_an_unproven_model_is_refused(tmp_path: Path) -> None:
    source = gains(tmp_path, lead=1.0)
    source.write(replace(source.read_card(), parity=()), threads=0)
    with pytest.raises(ParityError, match="verify it first"):
        halve_model_outputs(source, name="half", repository=tmp_path / "new")
