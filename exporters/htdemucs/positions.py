"""Demucs' position embeddings from small tables.

Traced as they are, they become hundreds of nodes and constants as large as the activations.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from demucs import transformer
from numpy.typing import NDArray
from torch import Tensor, nn

Tables = dict[str, NDArray[np.float64]]


class PositionTables(nn.Module):
    """Stands in for the two functions that Demucs' transformer calls by name.

    Tables are drawn up at the first call and are buffers from then on: what a tracer sees computed
    from buffers stays computed in the graph.
    """

    def sin_embedding_2d(
        self, d_model: int, height: int, width: int, device: object = "cpu", max_period: float = 1e4
    ) -> Tensor:
        """demucs.transformer.create_2d_sin_embedding: [1, d_model, height, width].

        Half of the channels depend on the column alone, half on the row alone.
        """
        half, height, width = int(d_model) // 2, int(height), int(width)
        tables = self._tables(
            f"grid_{half}_{height}_{width}",
            lambda: _grid_tables(half, height, width, max_period),
        )
        columns, rows = (table.expand(half, height, width) for table in tables)
        return torch.cat([columns, rows])[None].to(device)  # type: ignore[call-overload]

    def sin_embedding(
        self, length: int, dim: int, shift: int = 0, device: object = "cpu", max_period: float = 1e4
    ) -> Tensor:
        """demucs.transformer.create_sin_embedding: [length, 1, dim].

        A position is a coarse step plus a fine one: cos(a + b) and sin(a + b) come from the tables
        of both.
        """
        length, half = int(length), int(dim) // 2
        cos_a, sin_a, cos_b, sin_b = self._tables(
            f"line_{length}_{half}_{shift}",
            lambda: _line_tables(length, half, shift, max_period),
        )
        table = torch.cat([cos_a * cos_b - sin_a * sin_b, sin_a * cos_b + cos_a * sin_b], dim=-1)
        return table.reshape(-1, 1, 2 * half)[:length].to(device)  # type: ignore[call-overload]

    @contextmanager
    def installed(self) -> Iterator[None]:
        """While active, Demucs' transformer finds these under the names of its own functions."""
        replaced = {
            "create_2d_sin_embedding": self.sin_embedding_2d,
            "create_sin_embedding": self.sin_embedding,
        }
        originals = {name: getattr(transformer, name) for name in replaced}
        try:
            transformer.__dict__.update(replaced)
            yield
        finally:
            transformer.__dict__.update(originals)

    def _tables(self, key: str, draw_up: Callable[[], Tables]) -> list[Tensor]:
        names = [name for name in self._buffers if name.startswith(key)]
        if not names:
            for name, table in draw_up().items():
                self.register_buffer(f"{key}_{name}", torch.from_numpy(table.astype(np.float32)))
            names = [name for name in self._buffers if name.startswith(key)]
        return [getattr(self, name) for name in names]


def _grid_tables(half: int, height: int, width: int, max_period: float) -> Tables:
    rates = np.exp(np.arange(0.0, half, 2) * -(math.log(max_period) / half))
    return {
        "columns": _interleaved(rates, positions=width)[:, None, :],
        "rows": _interleaved(rates, positions=height)[:, :, None],
    }


def _interleaved(rates: NDArray[np.float64], *, positions: int) -> NDArray[np.float64]:
    phases = rates[:, None] * np.arange(positions)
    return np.stack([np.sin(phases), np.cos(phases)], axis=1).reshape(-1, positions)


def _line_tables(length: int, half: int, shift: int, max_period: float) -> Tables:
    fine_count = math.isqrt(length) + 1
    coarse_count = -(-length // fine_count)
    rates = max_period ** -(np.arange(half) / (half - 1))
    coarse = (shift + fine_count * np.arange(coarse_count))[:, None, None] * rates
    fine = np.arange(fine_count)[None, :, None] * rates
    return {
        "cos_coarse": np.cos(coarse),
        "sin_coarse": np.sin(coarse),
        "cos_fine": np.cos(fine),
        "sin_fine": np.sin(fine),
    }
