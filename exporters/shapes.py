"""Reshaping for graphs whose batch axis alone is dynamic."""

from torch import Tensor


def reshape_examples(values: Tensor, *shape: int) -> Tensor:
    """To [batch, *shape], which traces to one Reshape with a constant shape.

    `unflatten` and `flatten` trace to chains of Shape and Slice that no shape inference sees
    through.
    """
    return values.reshape(-1, *shape)


def move_axis(values: Tensor, source: int, destination: int) -> Tensor:
    """torch.movedim, which the exporter gets wrong for negative axes."""
    order = list(range(values.dim()))
    order.insert(destination % values.dim(), order.pop(source % values.dim()))
    return values.permute(order)


def inner_sizes(values: Tensor) -> list[int]:
    """All sizes but the batch, as plain integers also while tracing."""
    return [int(size) for size in values.shape[1:]]
