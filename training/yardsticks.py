"""What a model must beat: separators that need no learning, or as little as a fixed equaliser.

A separator maps a mix (2, n) and, where it is an oracle, the true stems to estimates of the stems.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from synthesis import STEMS
from synthesis.signal import Signal

EQUALISER_FILE = Path(__file__).with_name("equaliser.npz")
_SIZE = 4096
_HOP = 1024

Stems = Mapping[str, Signal]


class Separator(Protocol):
    """Anything that the checker can judge."""

    def separate(self, mix: Signal, *, truth: Stems) -> Stems:
        """Estimates of the stems. Only yardsticks may look at `truth`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Equaliser:
    """One real gain per frequency bin and stem: (2049,) each, the same for every song."""

    gains: Mapping[str, npt.NDArray[np.float64]]

    def separate(self, mix: Signal, *, truth: Stems) -> Stems:
        """The mix through each stem's equaliser."""
        del truth
        spectrum = _spectrum(mix)
        return {
            name: _signal(spectrum * gain[:, None], samples=mix.shape[1])
            for name, gain in self.gains.items()
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class BestFixedGain:
    """The mix times the one gain per song and stem that the truth says is best."""

    def separate(self, mix: Signal, *, truth: Stems) -> Stems:
        """Least squares of each stem on the mix."""
        energy = max(float(np.vdot(mix, mix)), 1e-12)
        return {
            name: mix * np.float32(float(np.vdot(mix, stem)) / energy)
            for name, stem in truth.items()
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedShare:
    """The same share of the mix for every stem: 0.25, or 0 for silence."""

    share: float

    def separate(self, mix: Signal, *, truth: Stems) -> Stems:
        """The mix times the share."""
        return {name: mix * np.float32(self.share) for name in truth}


def fit_equaliser(songs: Iterable[tuple[Signal, Stems]]) -> Equaliser:
    """Least squares over all frames and both channels of the given (mix, stems)."""
    power = np.full(_SIZE // 2 + 1, 1e-12)
    shared = {name: np.zeros(_SIZE // 2 + 1) for name in STEMS}
    for mix, stems in songs:
        mixture = _spectrum(mix)
        power += (np.abs(mixture) ** 2).sum(axis=(0, 2))
        for name in STEMS:
            cross = (_spectrum(stems[name]) * mixture.conj()).real
            shared[name] += cross.sum(axis=(0, 2))
    return Equaliser(gains={name: cross / power for name, cross in shared.items()})


def all_of(equaliser: Equaliser) -> dict[str, Separator]:
    """Every yardstick by name; the checker must fail each."""
    return {
        "equaliser": equaliser,
        "best_fixed_gain": BestFixedGain(),
        "quarter_of_the_mix": FixedShare(share=0.25),
        "silence": FixedShare(share=0.0),
    }


def save_equaliser(equaliser: Equaliser, path: Path = EQUALISER_FILE) -> None:
    """Write the gains as float32 arrays named after the stems."""
    gains = {name: gain.astype(np.float32) for name, gain in equaliser.gains.items()}
    np.savez_compressed(path, **gains)


def load_equaliser(path: Path = EQUALISER_FILE) -> Equaliser:
    """The committed equaliser, fitted on the training songs."""
    with np.load(path) as file:
        return Equaliser(gains={name: file[name].astype(np.float64) for name in STEMS})


def _window() -> npt.NDArray[np.float64]:
    return np.sqrt(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_SIZE) / _SIZE))


def _spectrum(signal: Signal) -> npt.NDArray[np.complex128]:
    """(2, n) to (2, bins, frames); frames cover the whole signal."""
    frames = -(-(signal.shape[1] + _SIZE) // _HOP)
    padded = np.pad(signal, ((0, 0), (_SIZE, frames * _HOP + _SIZE - signal.shape[1])))
    cut = np.lib.stride_tricks.sliding_window_view(padded, _SIZE, axis=1)[:, ::_HOP]
    return np.fft.rfft(cut * _window(), axis=2).transpose(0, 2, 1)


def _signal(spectrum: npt.NDArray[np.complex128], *, samples: int) -> Signal:
    frames = np.fft.irfft(spectrum.transpose(0, 2, 1), axis=2) * _window()
    joined = np.zeros((2, _SIZE + _HOP * frames.shape[1]))
    for index in range(frames.shape[1]):
        joined[:, index * _HOP : index * _HOP + _SIZE] += frames[:, index]
    overlap = _SIZE / _HOP / 2
    return (joined[:, _SIZE : _SIZE + samples] / overlap).astype(np.float32)
