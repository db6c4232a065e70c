"""Mixture consistency: what the stems miss of the mix is shared out among them, as a stream.

The projection of Wisdom et al., "Differentiable consistency constraints for improved deep speech
enhancement" (ICASSP 2019), with their second kind of weights, by energy: where a stem is silent it
stays so, while equal weights would give it a part of what all the others miss.
"""

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
Weights = NDArray[np.float64]

# 23 ms at 44.1 kHz. From centre to centre of these frames the weights change linearly.
FRAME_SAMPLES = 1024


def energy_weights(stems: Samples) -> Weights:
    """Each stem's part of the energy of whole frames: (stems, channels, n) to (stems, frames).

    The last frame may be short. In silence all parts are equal.
    """
    starts = np.arange(0, stems.shape[-1], FRAME_SAMPLES, dtype=np.intp)
    squares = np.square(stems, dtype=np.float64).sum(axis=1)
    energy = np.add.reduceat(squares, starts, axis=-1)
    total = energy.sum(axis=0)
    equal = np.full_like(energy, 1 / len(energy))
    return np.divide(energy, total, out=equal, where=total > 0)


class MixtureConsistency:
    """Makes stems add up to the mix; holds back less than two frames.

    What comes out does not depend on how the track is cut into pushes.
    """

    def __init__(self, *, stems: int, channels: int) -> None:
        self._stems = np.zeros((stems, channels, 0), dtype=np.float32)
        self._mix = np.zeros((channels, 0), dtype=np.float32)
        self._start = 0
        self._frames = 0
        self._last = np.zeros((stems, 0))

    def push(self, stems: Samples, mix: Samples) -> tuple[Samples, Samples]:
        """Take (stems, channels, n) and (channels, n); give the same of what is settled."""
        self._stems = np.concatenate([self._stems, stems], axis=-1)
        self._mix = np.concatenate([self._mix, mix], axis=-1)
        whole = (self._start + self._mix.shape[-1]) // FRAME_SAMPLES
        if whole == self._frames:
            return self._given(0, self._last)
        centre = (2 * whole - 1) * FRAME_SAMPLES // 2
        return self._given(centre - self._start, self._weights(whole * FRAME_SAMPLES))

    def finish(self) -> tuple[Samples, Samples]:
        """The rest."""
        left = self._mix.shape[-1]
        end = self._start + left
        return self._given(left, self._weights(end) if left else self._last)

    def _weights(self, end: int) -> Weights:
        """The last frame's weights known so far and those of the frames from there to `end`."""
        begin = self._frames * FRAME_SAMPLES
        fresh = self._stems[..., begin - self._start : end - self._start]
        if not fresh.shape[-1]:
            return self._last
        return np.concatenate([self._last, energy_weights(fresh)], axis=-1)

    def _given(self, samples: int, weights: Weights) -> tuple[Samples, Samples]:
        stems, mix = self._stems[..., :samples], self._mix[..., :samples]
        if samples:
            stems = self._adjusted(stems, mix, weights)
        self._frames += weights.shape[-1] - self._last.shape[-1]
        self._last = weights[:, -1:]
        self._stems, self._mix = self._stems[..., samples:], self._mix[..., samples:]
        self._start += samples
        return stems, mix

    def _adjusted(self, stems: Samples, mix: Samples, weights: Weights) -> Samples:
        first = self._frames - self._last.shape[-1]
        frames = np.arange(first, first + weights.shape[-1], dtype=np.float64)
        times = np.arange(self._start, self._start + mix.shape[-1], dtype=np.float64)
        missed = mix - stems.sum(axis=0)
        centres = (frames + 0.5) * FRAME_SAMPLES
        parts = np.empty((len(weights), len(times)), dtype=np.float32)
        for part, weight in zip(parts, weights, strict=True):
            part[:] = np.interp(times, centres, weight)
        return stems + parts[:, None] * missed
