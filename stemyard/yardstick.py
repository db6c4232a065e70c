"""How good an estimate of a stem is, and how good a child's play would be."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Audio = npt.NDArray[np.float32]

_SILENCE = 1e-20


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """SDR in dB of the estimate, and of the best fixed gain on the mix."""

    stem: str
    sdr_db: float
    best_gain_sdr_db: float

    @property
    def above_best_gain_db(self) -> float:
        return self.sdr_db - self.best_gain_sdr_db


def scores(
    estimates: Mapping[str, Audio], *, stems: Mapping[str, Audio], mix: Audio
) -> tuple[Score, ...]:
    """All arrays (channels, samples), of one length."""
    return tuple(
        Score(
            stem=name,
            sdr_db=sdr_db(stems[name], estimate),
            best_gain_sdr_db=sdr_db(stems[name], best_gain(stems[name], mix=mix) * mix),
        )
        for name, estimate in estimates.items()
    )


def sdr_db(stem: Audio, estimate: npt.NDArray[np.floating]) -> float:
    """10 log10 of |s|^2 over |s - e|^2, over the whole song."""
    error = stem.astype(np.float64) - estimate
    energy = float(np.sum(np.square(stem, dtype=np.float64)))
    return float(10 * np.log10((energy + _SILENCE) / (float(np.sum(np.square(error))) + _SILENCE)))


def best_gain(stem: Audio, *, mix: Audio) -> float:
    """The g that makes |s - g m|^2 least."""
    loudness = float(np.sum(np.square(mix, dtype=np.float64)))
    return float(np.sum(stem.astype(np.float64) * mix)) / (loudness + _SILENCE)
