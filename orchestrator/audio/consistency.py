"""Mixture consistency: what the stems miss of the mix is shared out among them."""

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]


def consistent(stems: Samples, mix: Samples) -> Samples:
    """The nearest stems that add up to the mix: (stems, channels, n), (channels, n) to the former.

    The projection of Wisdom et al., "Differentiable consistency constraints for improved deep
    speech enhancement" (ICASSP 2019), with equal weights. The true stems add up too, so this never
    takes the estimates as a whole farther from them.
    """
    missed = mix - stems.sum(axis=0)
    return stems + missed / np.float32(len(stems))
