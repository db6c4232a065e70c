"""The runner that stands in for a GPU's fp16, held to onnx's own reference implementation."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper
from onnx.reference import ReferenceEvaluator

from exporters.rounding import RoundingEngine

HALF = TensorProto.FLOAT16
STEPS = {
    "squared and rooted": [("Mul", ["half", "half"], "square"), ("Sqrt", ["square"], "result")],
    "added": [("Add", ["half", "half"], "result")],
    "divided": [("Div", ["half", "seven"], "result")],
    "moved": [("Transpose", ["half"], "turned"), ("Mul", ["turned", "seven"], "result")],
    "exponential": [("Exp", ["half"], "result")],
}
VALUES = np.random.default_rng(0).normal(0, 40, (2, 3, 64)).astype(np.float32)


def model_of(steps: list[tuple[str, list[str], str]]) -> ModelProto:
    nodes = [helper.make_node("Cast", ["mix"], ["half"], to=HALF)]
    nodes += [helper.make_node(kind, inputs, [output]) for kind, inputs, output in steps]
    nodes.append(helper.make_node("Cast", ["result"], ["stem"], to=TensorProto.FLOAT))
    return _model(nodes)


def _model(nodes: list[NodeProto]) -> ModelProto:
    mix, stem = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", "channels", "samples"])
        for name in ("mix", "stem")
    )
    seven = helper.make_tensor("seven", HALF, [], np.array([7.1], np.float16).tobytes(), raw=True)
    graph = helper.make_graph(nodes, "steps", [mix], [stem], [seven])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def both(model: ModelProto, values: np.ndarray, root: Path) -> tuple[np.ndarray, np.ndarray]:
    """By our runner, and by onnx's reference evaluator."""
    path = root / "model.onnx"
    onnx.save(model, path)
    with np.errstate(over="ignore"):
        (expected,) = ReferenceEvaluator(model).run(None, {"mix": values})
    return RoundingEngine(path, threads=1).run(values)["stem"], expected


def test_it_overflows_where_fp16_does(tmp_path: Path) -> None:
    values = np.full((1, 1, 1), 300, np.float32)
    ours, reference = both(model_of(STEPS["squared and rooted"]), values, tmp_path)
    assert np.isinf(ours).all()
    assert np.isinf(reference).all()


@pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS)
def test_each_operator_rounds_as_the_reference_does(
    tmp_path: Path, steps: list[tuple[str, list[str], str]]
) -> None:
    ours, reference = both(model_of(steps), VALUES, tmp_path)
    np.testing.assert_array_equal(ours, reference)


def test_it_declares_what_the_file_declares(tmp_path: Path) -> None:
    model = model_of(STEPS["added"])
    model.graph.node[-1].attribute[0].i = HALF
    model.graph.output[0].type.tensor_type.elem_type = HALF
    onnx.save(model, tmp_path / "model.onnx")
    engine = RoundingEngine(tmp_path / "model.onnx", threads=1)
    assert [tensor.type for tensor in (*engine.inputs, *engine.outputs)] == [
        "tensor(float)",
        "tensor(float16)",
    ]
    assert engine.run(VALUES)["stem"].dtype == np.float32
