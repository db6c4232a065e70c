"""Small changes of ONNX graphs."""

from collections.abc import Iterable
from enum import Enum

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper
from onnx.numpy_helper import from_array, to_array
from onnx.reference import ReferenceEvaluator

_LAYOUTS = frozenset(
    {"Gather", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"}
)


def constants_as_initializers(model: ModelProto) -> ModelProto:
    """A copy in which Constant nodes and initializers are one thing."""
    copy = ModelProto()
    copy.CopyFrom(model)
    others: list[NodeProto] = []
    for node in copy.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            node.attribute[0].t.name = node.output[0]
            copy.graph.initializer.append(node.attribute[0].t)
        else:
            others.append(node)
    del copy.graph.node[:]
    copy.graph.node.extend(others)
    return copy


def fold_layouts(graph: GraphProto) -> None:
    """Weights that are only moved about become initializers of their own, in place.

    What would grow, a table that is expanded for one, is left to the engine.
    """
    constants = {tensor.name: tensor for tensor in graph.initializer}
    others: list[NodeProto] = []
    for node in graph.node:
        names = [name for name in node.input if name]
        if node.op_type in _LAYOUTS and all(name in constants for name in names):
            feeds = {name: to_array(constants[name]) for name in names}
            found = ReferenceEvaluator(node).run(None, feeds)
            for name, values in zip(node.output, found, strict=True):
                constants[name] = from_array(np.ascontiguousarray(values), name)
                graph.initializer.append(constants[name])
        else:
            others.append(node)
    del graph.node[:]
    graph.node.extend(others)


def tensors_of(model: ModelProto, element_type: int) -> frozenset[str]:
    """Names of all tensors of that type, constants included."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    infos = (*graph.input, *graph.output, *graph.value_info)
    named = {i.name for i in infos if i.type.tensor_type.elem_type == element_type}
    return frozenset(named | {t.name for t in graph.initializer if t.data_type == element_type})


def cast(source: str, target: str, precision: Enum) -> NodeProto:
    return helper.make_node("Cast", [source], [target], name=f"cast/{target}", to=precision.value)


def multiply(source: str, factor: str, target: str) -> NodeProto:
    return helper.make_node("Mul", [source, factor], [target], name=f"scale/{target}")


def rename(nodes: Iterable[NodeProto], old: str, new: str) -> None:
    for node in nodes:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                if name == old:
                    names[place] = new


def halve_outputs(graph: GraphProto) -> None:
    """fp16 outputs under the same names, cast from fp32 at the very end."""
    for output in graph.output:
        single = f"{output.name}/single"
        rename(graph.node, output.name, single)
        to = TensorProto.FLOAT16
        name = f"cast/{output.name}"
        graph.node.append(helper.make_node("Cast", [single], [output.name], name=name, to=to))
        output.type.tensor_type.elem_type = to


def drop_unused_initializers(graph: GraphProto) -> None:
    used = {name for node in graph.node for name in node.input} | {o.name for o in graph.output}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
