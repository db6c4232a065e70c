"""Training examples: stems of the bank, remixed so that no two steps hear the same mixture."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import soxr

from synthesis import STEMS
from synthesis.signal import SAMPLE_RATE_HZ, Signal, level, reverberated
from training.bank import Bank
from training.effects import equalised, saturated

_Song = tuple[Bank, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Remix:
    """How far examples stray from the bank's own songs; probabilities and half-widths."""

    excerpt_s: float = 3.0
    same_song: float = 0.3
    gain_db: float = 5.0
    repitch: float = 0.5
    repitch_octaves: float = 0.35
    equalise: float = 0.6
    equalise_db: float = 4.0
    saturate: float = 0.2
    reverberate: float = 0.0


# Sounds that the bank's few kits and basses do not have: other rooms, registers and filters.
FAR = Remix(repitch_octaves=0.5, equalise=0.8, equalise_db=6.0, saturate=0.3, reverberate=0.3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixer:
    """Batches that depend on seed and number alone, so a resumed run sees the same ones."""

    banks: Sequence[Bank]
    remix: Remix
    seed: int

    def batch(self, number: int, *, size: int) -> Signal:
        """Targets float32 (size, stems, 2, samples); their sum over stems is the input."""
        rng = np.random.default_rng((self.seed, number))
        return np.stack([self._example(rng) for _ in range(size)])

    def _example(self, rng: np.random.Generator) -> Signal:
        together = bool(rng.random() < self.remix.same_song)
        song, place = self._song(rng), float(rng.random())
        stems = []
        for name in STEMS:
            if not together:
                song, place = self._song(rng), float(rng.random())
            stems.append(self._stem(rng, name, song=song, place=place, together=together))
        return np.stack(stems)

    def _song(self, rng: np.random.Generator) -> _Song:
        """Any song of any bank, all with the same chance."""
        item = int(rng.integers(sum(bank.plan.items for bank in self.banks)))
        for bank in self.banks:
            if item < bank.plan.items:
                return bank, item
            item -= bank.plan.items
        raise AssertionError("the numbers are drawn below their sum")

    def _stem(
        self, rng: np.random.Generator, name: str, *, song: _Song, place: float, together: bool
    ) -> Signal:
        length = round(self.remix.excerpt_s * SAMPLE_RATE_HZ)
        repitched = not together and rng.random() < self.remix.repitch
        octaves = rng.uniform(-1, 1) * self.remix.repitch_octaves if repitched else 0.0
        taken = int(np.ceil(length * 2.0**octaves)) + (2 if repitched else 0)
        bank, item = song
        start = int(place * (bank.plan.samples - taken))
        signal = bank.excerpt(name, item, start=start, samples=taken)
        if repitched:
            signal = _resampled(signal, ratio=length / taken, length=length)
        if rng.random() < self.remix.equalise:
            signal = equalised(signal, rng, spread_db=self.remix.equalise_db)
        if rng.random() < self.remix.saturate:
            signal = _saturated(signal, drive=float(rng.uniform(1, 4)))
        if self.remix.reverberate and rng.random() < self.remix.reverberate:
            decay_s, wet = float(rng.uniform(0.15, 0.9)), float(rng.uniform(0.05, 0.5))
            signal = reverberated(signal, rng, decay_s=decay_s, wet=wet)
        if rng.random() < 0.5:
            signal = signal[::-1]
        sign = 1.0 if together or rng.random() < 0.5 else -1.0
        gain_db = rng.uniform(-1, 1) * self.remix.gain_db
        return signal * np.float32(sign * 10 ** (gain_db / 20))


def _saturated(signal: Signal, *, drive: float) -> Signal:
    """Soft clipping that keeps the level."""
    shaped = saturated(signal, drive=drive)
    return shaped * np.float32(level(signal) / max(level(shaped), 1e-9))


def _resampled(signal: Signal, *, ratio: float, length: int) -> Signal:
    shifted = soxr.resample(signal.T, 1.0, ratio, quality="LQ").T[:, :length]
    return np.pad(shifted, ((0, 0), (0, length - shifted.shape[1])))
