"""Every kind of graph goes through a real TensorRT parser; engines are built without a GPU."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import tensorrt_rtx as trt

from exporters import tensorrt_build
from exporters.tensorrt_build import Batches, BuildError, build_engine, facts, parse
from tests.exporters import small_graphs

KINDS: Mapping[str, Callable[[Path], Path]] = {
    "htdemucs": small_graphs.htdemucs,
    "six stems": small_graphs.six_stems,
    "specialist of a bag": small_graphs.specialist,
    "spleeter": small_graphs.spleeter,
    "stemyard-mini": lambda _: small_graphs.BUNDLED.model,
}


@pytest.fixture(scope="module", params=KINDS.values(), ids=KINDS)
def graph(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return request.param(tmp_path_factory.mktemp("graph"))


@pytest.fixture(scope="module")
def spleeter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_graphs.mixed(small_graphs.spleeter(tmp_path_factory.mktemp("spleeter")))


def parsed(graph: Path) -> Any:
    builder = trt.Builder(trt.Logger(trt.Logger.ERROR))
    return builder, parse(trt, builder, graph)


def test_every_graph_is_parsed_with_a_dynamic_batch(graph: Path) -> None:
    _builder, network = parsed(graph)
    assert network.num_inputs == 1
    assert network.get_input(0).shape[0] == -1
    outputs = [network.get_output(place) for place in range(network.num_outputs)]
    assert len(outputs) >= 1
    assert {output.shape[0] for output in outputs} == {-1}
    assert {output.dtype for output in outputs} == {trt.float32}


def test_mixed_precision_is_parsed_and_built_for_batches_of_1_to_16(tmp_path: Path) -> None:
    mixed = small_graphs.mixed(small_graphs.htdemucs(tmp_path))
    _builder, network = parsed(mixed)
    layers = map(network.get_layer, range(network.num_layers))
    types = {layer.get_output(0).dtype for layer in layers}
    assert {trt.float16, trt.float32} <= types
    assert len(build_engine(trt, mixed, batches=Batches())) > 1_000_000


def test_the_program_writes_an_engine_and_what_it_was_built_for(
    spleeter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, told = tmp_path / "model.plan", tmp_path / "facts.json"
    arguments = [str(spleeter), "--plan", str(plan), "--facts", str(told)]
    monkeypatch.setattr("sys.argv", ["tensorrt_build", *arguments])
    assert tensorrt_build.main() == 0
    assert plan.stat().st_size > 100_000
    assert json.loads(told.read_text()) == facts(trt)
    assert facts(trt)["tensorrt"] == f"tensorrt-rtx {trt.__version__}"


def test_a_truncated_graph_is_refused_by_name(tmp_path: Path) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(small_graphs.BUNDLED.model.read_bytes()[:100_000])
    with pytest.raises(BuildError, match=r"broken\.onnx"):
        parse(trt, trt.Builder(trt.Logger(trt.Logger.INTERNAL_ERROR)), broken)
