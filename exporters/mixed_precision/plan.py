"""Which nodes compute in fp16, which tensors are fp16, and what is scaled down to fit."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from onnx import GraphProto, ModelProto, NodeProto, TensorProto

from exporters.mixed_precision.graphs import tensors_of

# An eighth of what fp16 holds: other songs may reach further than those a graph was tried on.
ROOMY = 2.0**13
HALF_OPERATORS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
SINGLE_OPERATORS = frozenset(
    {
        *("BatchNormalization", "GroupNormalization", "InstanceNormalization"),
        *("LayerNormalization", "LpNormalization", "MeanVarianceNormalization"),
        *("AveragePool", "CumSum", "Einsum", "GlobalAveragePool"),
        *("Exp", "Log", "LogSoftmax", "Pow", "Reciprocal", "Softmax", "Sqrt"),
        *("Cast", "DFT", "Range", "Resize", "STFT"),
    }
)
# Modules that hold a Fourier transform, as the exporter names nodes after them.
TRANSFORMS = frozenset({"analysis", "dft", "synthesis"})


class Precision(Enum):
    SINGLE = TensorProto.FLOAT
    HALF = TensorProto.FLOAT16


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Nodes go by the name of their first output.

    A float tensor in none of `tensors` is a constant or made of constants: it takes either
    precision. A node in `scales` has its data divided by that power of two and its result
    multiplied by it again, in fp32.
    """

    floats: frozenset[str]
    nodes: dict[str, Precision] = field(default_factory=dict[str, Precision])
    tensors: dict[str, Precision] = field(default_factory=dict[str, Precision])
    scales: dict[str, float] = field(default_factory=dict[str, float])

    read_as_half: set[str] = field(default_factory=set[str])

    @property
    def must_fit(self) -> frozenset[str]:
        """What fp16 operators read or write."""
        written = {name for name, kind in self.tensors.items() if kind is Precision.HALF}
        return frozenset(written | self.read_as_half)


def make_plan(model: ModelProto, *, magnitudes: Mapping[str, float]) -> Plan:
    """`magnitudes` are the largest seen of each tensor; one that is absent fits."""
    graph = model.graph
    plan = Plan(floats=tensors_of(model, TensorProto.FLOAT))
    plan.tensors.update({tensor.name: Precision.SINGLE for tensor in graph.input})
    for node in graph.node:
        _place(node, plan, magnitudes)
    _spare_reductions(graph, plan)
    return plan


def in_transform(node: NodeProto) -> bool:
    return not TRANSFORMS.isdisjoint(re.split(r"[/.]", node.name))


def _place(node: NodeProto, plan: Plan, magnitudes: Mapping[str, float]) -> None:
    """Decides on a node whose inputs are decided."""
    inputs = [name for name in node.input if name in plan.floats]
    met = {plan.tensors[name] for name in inputs if name in plan.tensors}
    if inputs and not met:
        return
    precision = _precision(node, met)
    largest = max((magnitudes.get(name, 0.0) for name in (*inputs, *node.output)), default=0.0)
    result = precision
    if precision is Precision.HALF and largest > ROOMY:
        result = Precision.SINGLE
        if node.op_type in HALF_OPERATORS:
            plan.scales[node.output[0]] = 2.0 ** math.ceil(math.log2(largest / ROOMY))
        else:
            precision = Precision.SINGLE
    plan.nodes[node.output[0]] = precision
    if precision is Precision.HALF:
        plan.read_as_half.update(name for name in inputs if name in plan.tensors)
    if met:
        plan.tensors.update({name: result for name in node.output if name in plan.floats})


def _precision(node: NodeProto, met: set[Precision]) -> Precision:
    if _reduces(node) or node.op_type in SINGLE_OPERATORS or in_transform(node):
        return Precision.SINGLE
    if node.op_type in HALF_OPERATORS or met == {Precision.HALF}:
        return Precision.HALF
    return Precision.SINGLE


def _spare_reductions(graph: GraphProto, plan: Plan) -> None:
    """What only reductions read, squares for one, is fp32 too."""
    readers: dict[str, list[NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    summed: set[str] = set()
    for node in reversed(graph.node):
        reading = [reader for name in node.output for reader in readers.get(name, ())]
        if node.op_type in HALF_OPERATORS or node.output[0] not in plan.nodes or not reading:
            continue
        if all(_reduces(reader) or reader.output[0] in summed for reader in reading):
            summed.add(node.output[0])
            plan.nodes[node.output[0]] = Precision.SINGLE
            names = (name for name in node.output if name in plan.tensors)
            plan.tensors.update(dict.fromkeys(names, Precision.SINGLE))


def _reduces(node: NodeProto) -> bool:
    return node.op_type.startswith("Reduce")
