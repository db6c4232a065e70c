"""`spleeter.separator.Separator`, run for real."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from spleeter.separator import Separator


def separated(configuration: Path, songs: Sequence[np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
    """Each song (channels, samples) to such an array per instrument.

    `configuration` is a JSON file whose `model_dir` is an absolute path: a directory that is there
    is one that Spleeter does not try to download.
    """
    separator = Separator(str(configuration), multiprocess=False)
    for song in songs:
        stems = separator.separate(np.ascontiguousarray(song.T))
        yield {name: np.ascontiguousarray(stem.T) for name, stem in stems.items()}
