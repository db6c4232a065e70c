"""Stems within full scale whose sum stays what it was."""

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]


def clamped_together(stems: Samples) -> Samples:
    """What one stem has beyond full scale goes to those that have room, sample by sample.

    (stems, channels, n) to the same. Where the sum itself is beyond what all stems can hold, all
    are at full scale. Cutting each stem apart would lose what was cut.
    """
    over = np.abs(stems).max(axis=0) > 1
    if not over.any():
        return stems
    kept = stems.copy()
    kept[:, over] = _shared_out(stems[:, over].astype(np.float64))
    return kept


def _shared_out(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(stems, m), within [-1, 1]; every round ends, or fills up one stem of each column more."""
    wanted = values.sum(axis=0)
    values = np.clip(values, -1, 1)
    for _ in values:
        excess = wanted - values.sum(axis=0)
        has_room = np.where(excess > 0, values < 1, values > -1)
        values = np.clip(values + has_room * excess / np.maximum(1, has_room.sum(axis=0)), -1, 1)
    return values
