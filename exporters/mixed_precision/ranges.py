"""How large the values of a graph grow."""

from collections.abc import Iterable, Mapping

import numpy as np
from onnx import ModelProto, TensorProto, helper

from exporters.audio import Audio
from exporters.engine import cpu_session
from exporters.specification import INPUT_NAME

# Not the name of a tensor: one may have "largest" in it.
_SUFFIX = "//largest"


def largest_magnitudes(
    model: ModelProto, tensors: Iterable[str], signals: Iterable[Audio]
) -> Mapping[str, float]:
    """The largest absolute value of each tensor over all signals [channels, N], run in fp32."""
    names = sorted(tensors)
    watching = ModelProto()
    watching.CopyFrom(model)
    _watch(watching, names)
    session = cpu_session(watching.SerializeToString(), threads=0)
    wanted = [name + _SUFFIX for name in names]
    seen = [session.run(wanted, {INPUT_NAME: signal[None]}) for signal in signals]
    return dict(zip(names, np.max(np.asarray(seen, np.float32), axis=0).tolist(), strict=True))


def _watch(model: ModelProto, names: Iterable[str]) -> None:
    graph = model.graph
    del graph.output[:]
    for name in names:
        size, largest = f"{name}//size", name + _SUFFIX
        graph.node.append(helper.make_node("Abs", [name], [size]))
        graph.node.append(helper.make_node("ReduceMax", [size], [largest], keepdims=0))
        graph.output.append(helper.make_tensor_value_info(largest, TensorProto.FLOAT, []))
