"""Any number of channels to the two that models take.

Stereo passes untouched and mono goes to both sides. More channels are mixed down with the
coefficients of ITU-R BS.775-3 (centre and surrounds at -3 dB, LFE left out), then both sides are
scaled by one factor so that no sum of full-scale channels can clip. Those are also libswresample's
coefficients; FFmpeg scales likewise when it converts to integers, not when it stays in float.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

MINUS_3_DB = 0.5**0.5

# What a file without channel names means by its channels: the order of WAVE_FORMAT_EXTENSIBLE.
_UNNAMED = {
    3: ("FL", "FR", "FC"),
    4: ("FL", "FR", "BL", "BR"),
    5: ("FL", "FR", "FC", "BL", "BR"),
    6: ("FL", "FR", "FC", "LFE", "BL", "BR"),
    7: ("FL", "FR", "FC", "LFE", "BC", "SL", "SR"),
    8: ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"),
}
_GAINS = {
    "FL": (1.0, 0.0),
    "FR": (0.0, 1.0),
    "DL": (1.0, 0.0),
    "DR": (0.0, 1.0),
    "FC": (MINUS_3_DB, MINUS_3_DB),
    "LFE": (0.0, 0.0),
    "LFE2": (0.0, 0.0),
}


def mixdown_matrix(channels: int, *, names: Sequence[str] = ()) -> Samples:
    """The matrix (channels, 2) by which frames are multiplied."""
    if channels == 1:
        return np.ones((1, 2), dtype=np.float32)
    if channels == 2:
        return np.eye(2, dtype=np.float32)
    names = names or _UNNAMED.get(channels, ())
    if len(names) != channels:
        # Nobody said what these channels are: all of them to both sides alike.
        return np.full((channels, 2), 1 / channels, dtype=np.float32)
    gains = np.array([_gains(name) for name in names])
    return (gains / max(1.0, gains.sum(axis=0).max())).astype(np.float32)


def mixed_down(block: Samples, matrix: Samples) -> Samples:
    """A block (frames, channels) as (frames, 2)."""
    channels = len(matrix)
    if channels == 1:
        return np.repeat(block, 2, axis=1)
    return block if channels == 2 else block @ matrix


def _gains(name: str) -> tuple[float, float]:
    """Surrounds and heights: their own side at -3 dB, or, in the middle, both at -6 dB."""
    if name in _GAINS:
        return _GAINS[name]
    left, right = name.endswith("L"), name.endswith("R")
    if left or right:
        return (MINUS_3_DB * left, MINUS_3_DB * right)
    return (0.5, 0.5)
