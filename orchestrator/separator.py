"""The port to what separates one segment."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from stemcore.model_card import ModelCard

Samples = NDArray[np.float32]


class StemSeparator(Protocol):
    """One segment of a mix to stems; the same bytes in give the same bytes out."""

    async def separate(self, window: Samples, *, card: ModelCard, stems: Sequence[str]) -> Samples:
        """(channels, segment_samples) to (stems, channels, segment_samples), in the order asked.

        Waits out a server that is away for a while; raises Unavailable after that, or when it
        comes back with another model than the card's.
        """
        ...
