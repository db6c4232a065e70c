"""The whole track's mean and deviation, as `demucs.api.Separator` takes them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

# demucs/api.py: `std = ref.std() + 1e-8`
EPSILON = np.float32(1e-8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalisation:
    """`(x - mean) / scale` before the model and `y * scale + mean` after it, in float32."""

    mean: np.float32
    scale: np.float32

    def applied(self, samples: Samples) -> Samples:
        """The samples as the model takes them."""
        return (samples - self.mean) / self.scale

    def undo(self, samples: Samples) -> None:
        """Bring the model's output to the level of the track, in place."""
        samples *= self.scale
        samples += self.mean


IDENTITY = Normalisation(mean=np.float32(0), scale=np.float32(1))


class TrackMoments:
    """Mean and unbiased deviation of the mono mix in one pass (Chan, Golub, LeVeque 1979)."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = 0.0
        self._squares = 0.0

    def add(self, block: Samples) -> None:
        """Take a block (frames, 2)."""
        # Equal to `block.mean(axis=1)` to the bit, which takes 25 times as long.
        mono = ((block[:, 0] + block[:, 1]) / np.float32(2)).astype(np.float64)
        count, mean = len(mono), float(mono.mean())
        shift, total = mean - self.mean, self.count + count
        self._squares += float(np.square(mono - mean).sum())
        self._squares += shift * shift * self.count * count / total
        self.mean += shift * count / total
        self.count = total

    @property
    def deviation(self) -> float:
        """Of a single frame, where Demucs has NaN, 1: it stays unscaled."""
        return (self._squares / (self.count - 1)) ** 0.5 if self.count > 1 else 1.0

    def normalisation(self) -> Normalisation:
        """What Demucs' Separator would subtract and divide by."""
        return Normalisation(mean=np.float32(self.mean), scale=np.float32(self.deviation) + EPSILON)
