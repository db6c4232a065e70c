"""Runs a mixed-precision graph on a CPU so that every fp16 tensor is really rounded to fp16.

CPU runtimes do not: ONNX Runtime runs fp16 operators in fp32 and drops the casts between them, so
that sqrt(300 * 300) is 300 where a GPU overflows. Here each fp16 tensor is an fp32 one behind two
casts, which the runtime keeps. Sums inside an operator are fp32, as on tensor cores.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper
from onnx.numpy_helper import from_array, to_array

from exporters.audio import Audio
from exporters.engine import TensorDeclaration, cpu_session
from exporters.mixed_precision.graphs import tensors_of
from exporters.specification import INPUT_NAME

# They move values and cannot change one.
_EXACT = frozenset(
    {
        *("Concat", "Expand", "Flatten", "Gather", "Identity", "Reshape", "Slice", "Split"),
        *("Squeeze", "Tile", "Transpose", "Unsqueeze"),
    }
)
_TYPES: dict[int, str] = {
    TensorProto.FLOAT: "tensor(float)",
    TensorProto.FLOAT16: "tensor(float16)",
}


class RoundingEngine:
    """Declares what the file declares; answers in fp32 arrays."""

    def __init__(self, path: Path, *, threads: int = 0) -> None:
        model = onnx.load(str(path))
        self.inputs = _declarations(model.graph.input)
        self.outputs = _declarations(model.graph.output)
        self._session = cpu_session(
            with_explicit_rounding(model).SerializeToString(), threads=threads
        )

    def run(self, mix: Audio) -> Mapping[str, Audio]:
        """[batch, channels, N] to one such array per output."""
        names = [output.name for output in self.outputs]
        arrays = self._session.run(names, {INPUT_NAME: mix})
        return {name: np.asarray(array) for name, array in zip(names, arrays, strict=True)}


def with_explicit_rounding(model: ModelProto) -> ModelProto:
    """The same arithmetic in fp32 tensors, each former fp16 one rounded as it is made."""
    halves = tensors_of(model, TensorProto.FLOAT16)
    copy = ModelProto()
    copy.CopyFrom(model)
    nodes = [new for node in copy.graph.node for new in _rounded(node, halves)]
    del copy.graph.node[:]
    copy.graph.node.extend(nodes)
    del copy.graph.value_info[:]
    _widen(copy.graph)
    return copy


def _rounded(node: NodeProto, halves: frozenset[str]) -> Iterator[NodeProto]:
    if node.op_type == "Cast":
        yield from _rounded_cast(node, halves)
    elif node.op_type in _EXACT:
        yield node
    else:
        names = [name for name in node.output if name in halves]
        exact = [f"{name}/exact" if name in halves else name for name in node.output]
        node.output[:] = exact
        yield node
        for name in names:
            yield _cast(f"{name}/exact", f"{name}/half", TensorProto.FLOAT16)
            yield _cast(f"{name}/half", name, TensorProto.FLOAT)


def _rounded_cast(node: NodeProto, halves: frozenset[str]) -> Iterator[NodeProto]:
    """What is cast from fp16 holds rounded values already."""
    (source,), (target,) = node.input, node.output
    if target in halves:
        yield _cast(source, f"{target}/half", TensorProto.FLOAT16)
        yield _cast(f"{target}/half", target, TensorProto.FLOAT)
    elif source in halves:
        yield helper.make_node("Identity", [source], [target], name=node.name)
    else:
        yield node


def _cast(source: str, target: str, element_type: int) -> NodeProto:
    return helper.make_node("Cast", [source], [target], name=f"round/{target}", to=element_type)


def _widen(graph: GraphProto) -> None:
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT16:
            tensor.CopyFrom(from_array(to_array(tensor).astype("f"), tensor.name))
    for output in graph.output:
        output.type.tensor_type.elem_type = TensorProto.FLOAT


def _declarations(tensors: Iterable[ValueInfoProto]) -> tuple[TensorDeclaration, ...]:
    return tuple(
        TensorDeclaration(
            name=tensor.name,
            type=_TYPES[tensor.type.tensor_type.elem_type],
            shape=tuple(
                dim.dim_param or dim.dim_value for dim in tensor.type.tensor_type.shape.dim
            ),
        )
        for tensor in tensors
    )
