"""How far stems are from adding up to their mix."""

from dataclasses import dataclass
from math import log10

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

# Of a mix that its stems rebuild without any error.
PERFECT_NULL_DB = 300.0


@dataclass(slots=True, kw_only=True)
class NullTest:
    """How far the sum of all stems misses the mix."""

    mix_energy: float = 0.0
    missed_energy: float = 0.0

    def add(self, mix: Samples, stems: Samples) -> None:
        """Take a stretch: (channels, n) and (stems, channels, n)."""
        self.add_sum(mix, stems.sum(axis=0))

    def add_sum(self, mix: NDArray[np.floating], summed: NDArray[np.floating]) -> None:
        """Take a stretch of the mix and of the sum of its stems, of equal shapes."""
        missed = mix - summed
        self.mix_energy += float(np.square(mix, dtype=np.float64).sum())
        self.missed_energy += float(np.square(missed, dtype=np.float64).sum())

    @property
    def depth_db(self) -> float | None:
        """10 log10 of mix over miss; None for silence."""
        if self.mix_energy == 0:
            return None
        if self.missed_energy == 0:
            return PERFECT_NULL_DB
        return min(PERFECT_NULL_DB, 10 * log10(self.mix_energy / self.missed_energy))
