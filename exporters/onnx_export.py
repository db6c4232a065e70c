"""A PyTorch waveform graph to an ONNX file that declares exactly what the specification says."""

import logging
import warnings
from pathlib import Path

import onnx
import torch
from torch import nn

from exporters.specification import BATCH_AXIS, INPUT_NAME, OPSET, WaveformSpecification

TENSOR = onnx.TensorProto.FLOAT


def export_graph(graph: nn.Module, path: Path, *, specification: WaveformSpecification) -> None:
    """The TorchScript exporter: the graph of the dynamo exporter runs six times slower.

    Constants are left to the engine to fold, which keeps weights under their own names and tables
    small.
    """
    example = torch.zeros(1, *specification.signal_shape)
    torch.backends.mha.set_fastpath_enabled(False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph,
            (example,),
            str(path),
            input_names=[INPUT_NAME],
            output_names=list(specification.stems),
            dynamic_axes=specification.dynamic_axes,
            opset_version=OPSET,
            dynamo=False,
            do_constant_folding=False,
        )
    _declare_shapes(path, specification)
    logging.getLogger(__name__).info("graph_exported", extra={"path": str(path)})


def _declare_shapes(path: Path, specification: WaveformSpecification) -> None:
    """The tracer cannot tell the outputs' sizes; the specification can."""
    model = onnx.load(str(path))
    _drop_aliases(model.graph)
    shape = (BATCH_AXIS, *specification.signal_shape)
    outputs = [onnx.helper.make_tensor_value_info(s, TENSOR, shape) for s in specification.stems]
    del model.graph.output[:]
    model.graph.output.extend(outputs)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def _drop_aliases(graph: onnx.GraphProto) -> None:
    """Readers of a repeated constant read it by its first name.

    The exporter gives it others by Identity nodes, over which ONNX Runtime 1.31 can lose it.
    """
    first_names = {tensor.name: tensor.name for tensor in graph.initializer}
    aliases: list[onnx.NodeProto] = []
    for node in graph.node:
        node.input[:] = [first_names.get(name, name) for name in node.input]
        if node.op_type == "Identity" and node.input[0] in first_names:
            first_names[node.output[0]] = node.input[0]
            aliases.append(node)
    for node in aliases:
        graph.node.remove(node)
