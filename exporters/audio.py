"""Audio as it travels between the parts: float32, [channels, samples] or with a batch in front."""

import numpy as np
from numpy.typing import NDArray

Audio = NDArray[np.float32]
