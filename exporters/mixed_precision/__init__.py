"""fp16 where the work is, fp32 where it would overflow or drown: precision in the graph itself.

TensorRT 11 takes precision from the graph alone, and reduced arithmetic chosen by an engine turned
HTDemucs into NaN: means over a million values and the transforms have no room in fp16. So matrix
products and convolutions become fp16, and so does what follows from them alone; whatever a mean, a
norm, a softmax or a transform has touched stays fp32. Trained decoders come close to what fp16
can hold and beyond, so every graph is run before, and what came out large is scaled down by a power
of two for the product itself, which costs no precision.
"""

from collections.abc import Iterable

import onnx
from onnx import ModelProto

from exporters.audio import Audio
from exporters.errors import UnsupportedModel
from exporters.mixed_precision.graphs import (
    constants_as_initializers,
    drop_unused_initializers,
    fold_layouts,
    halve_outputs,
)
from exporters.mixed_precision.plan import Plan, in_transform, make_plan
from exporters.mixed_precision.ranges import largest_magnitudes
from exporters.mixed_precision.rewriting import Rewriting

PRECISION = "fp16"


def to_mixed_precision(
    model: ModelProto, *, signals: Iterable[Audio], half_outputs: bool = False
) -> ModelProto:
    """A copy in mixed precision; input and, unless `half_outputs`, outputs stay fp32.

    `signals` [channels, N] show how large values grow. Raises UnsupportedModel when no transform
    lies under a known name, since its tables would end up in fp16 unseen.
    """
    mixed = constants_as_initializers(model)
    fold_layouts(mixed.graph)
    drop_unused_initializers(mixed.graph)
    if not any(map(in_transform, mixed.graph.node)):
        raise UnsupportedModel("no node's name tells of a transform: which must stay fp32?")
    Rewriting(graph=mixed.graph, plan=_plan(mixed, signals)).run()
    drop_unused_initializers(mixed.graph)
    if half_outputs:
        halve_outputs(mixed.graph)
    onnx.checker.check_model(mixed)
    return mixed


def _plan(model: ModelProto, signals: Iterable[Audio]) -> Plan:
    hopeful = make_plan(model, magnitudes={})
    return make_plan(model, magnitudes=largest_magnitudes(model, hopeful.must_fit, signals))
