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
    shape = (BATCH_AXIS, *specification.signal_shape)
    outputs = [onnx.helper.make_tensor_value_info(s, TENSOR, shape) for s in specification.stems]
    del model.graph.output[:]
    model.graph.output.extend(outputs)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
