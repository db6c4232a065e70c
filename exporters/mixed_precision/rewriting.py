"""Carries a plan out on a graph."""

from dataclasses import dataclass, field

import numpy as np
from onnx import GraphProto, NodeProto, TensorProto
from onnx.numpy_helper import from_array, to_array

from exporters.errors import UnsupportedModel
from exporters.mixed_precision.graphs import cast, multiply, rename
from exporters.mixed_precision.plan import Plan, Precision

LARGEST_HALF = float(np.finfo(np.float16).max)
_BIAS = {"Conv": 2, "ConvTranspose": 2, "Gemm": 2}


@dataclass(slots=True, kw_only=True)
class Rewriting:
    """One cast for each tensor that is read in the other precision; constants are converted."""

    graph: GraphProto
    plan: Plan
    _nodes: list[NodeProto] = field(default_factory=list[NodeProto])
    _known: dict[tuple[str, Precision, float], str] = field(
        default_factory=dict[tuple[str, Precision, float], str]
    )
    _constants: dict[str, TensorProto] = field(default_factory=dict[str, TensorProto])

    def run(self) -> None:
        self._constants = {tensor.name: tensor for tensor in self.graph.initializer}
        for node in self.graph.node:
            self._rewrite(node)
        for output in self.graph.output:
            if self.plan.tensors.get(output.name) is Precision.HALF:
                rename(self._nodes, output.name, f"{output.name}/half")
                self._nodes.append(cast(f"{output.name}/half", output.name, Precision.SINGLE))
        del self.graph.node[:]
        self.graph.node.extend(self._nodes)
        del self.graph.value_info[:]

    def _rewrite(self, node: NodeProto) -> None:
        precision = self.plan.nodes.get(node.output[0], Precision.SINGLE)
        scale = self.plan.scales.get(node.output[0], 1.0)
        scaled = self._scaled_inputs(node) if scale != 1.0 else set[int]()
        for place, name in enumerate(node.input):
            if name in self.plan.floats:
                divisor = scale if place in scaled else 1.0
                node.input[place] = self._read(name, precision, divisor)
        self._nodes.append(node)
        if scale != 1.0:
            self._scale_back(node, scale)

    def _scaled_inputs(self, node: NodeProto) -> set[int]:
        """The data, and the bias that is added to its product."""
        data = next(i for i, name in enumerate(node.input) if name in self.plan.tensors)
        bias = _BIAS.get(node.op_type)
        return {data} if bias is None or bias >= len(node.input) else {data, bias}

    def _scale_back(self, node: NodeProto, scale: float) -> None:
        name = node.output[0]
        node.output[0] = f"{name}/scaled"
        self._nodes.append(cast(f"{name}/scaled", f"{name}/wide", Precision.SINGLE))
        self._nodes.append(multiply(f"{name}/wide", self._factor(scale), name))

    def _read(self, name: str, wanted: Precision, divisor: float) -> str:
        """The tensor in the wanted precision, divided; made before its first reader."""
        if self.plan.tensors.get(name, Precision.SINGLE) is wanted and divisor == 1.0:
            return name
        key = (name, wanted, divisor)
        if key not in self._known:
            self._known[key] = f"{name}/{wanted.name.lower()}"
            if divisor != 1.0:
                self._known[key] += f"/over_{divisor:g}"
            self._make(name, self._known[key], wanted, divisor)
        return self._known[key]

    def _make(self, name: str, new: str, wanted: Precision, divisor: float) -> None:
        if name in self._constants:
            self.graph.initializer.append(_halved(self._constants[name], new, divisor))
            return
        if divisor != 1.0:
            single = self._read(name, Precision.SINGLE, 1.0)
            name = f"{new}/divided"
            self._nodes.append(multiply(single, self._factor(1.0 / divisor), name))
        self._nodes.append(cast(name, new, wanted))

    def _factor(self, value: float) -> str:
        name = f"factor/{value:g}"
        if name not in self._constants:
            self._constants[name] = from_array(np.array(value, np.float32), name)
            self.graph.initializer.append(self._constants[name])
        return name


def _halved(tensor: TensorProto, name: str, divisor: float) -> TensorProto:
    values = to_array(tensor) / np.float32(divisor)
    if np.abs(values[np.isfinite(values)]).max(initial=0.0) > LARGEST_HALF:
        raise UnsupportedModel(f"{tensor.name} holds values that fp16 cannot")
    return from_array(values.astype(np.float16), name)
