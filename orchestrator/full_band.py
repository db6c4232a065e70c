"""The song itself in what is made of it, where the model's rate is not the song's.

A model at 44.1 kHz hears nothing above 22 kHz. A complement by subtraction and stems that add up
are the song less something, though, so they need not lose what the model never heard: the part of
the mix in them goes to the file's rate by way of the original instead of the mix.
"""

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orchestrator.audio.resample import RateConverter
from orchestrator.mix import CHANNELS, Mix, MixFacts

Samples = NDArray[np.float32]

BLOCK_FRAMES = 1 << 16


class Song:
    """A mix at another rate, read from its start; (frames, channels)."""

    def __init__(self, mix: Mix, *, rate_hz: int, total_frames: int) -> None:
        self._mix = mix
        self._position = 0
        self._left = total_frames
        self._held = np.zeros((0, CHANNELS), dtype=np.float32)
        self._total_frames = total_frames
        self._converter = RateConverter(
            source_hz=mix.facts.sample_rate_hz, target_hz=rate_hz, channels=CHANNELS
        )

    def take(self, frames: int) -> Samples:
        """The next frames, blocks; raises ValueError beyond the end."""
        self._left -= frames
        if self._left < 0:
            raise ValueError(f"{-self._left} frames beyond the song's end")
        while len(self._held) < frames:
            self._held = np.concatenate([self._held, self._more()])
        taken, self._held = self._held[:frames], self._held[frames:]
        return taken

    def _more(self) -> Samples:
        frames = min(BLOCK_FRAMES, self._mix.facts.frames - self._position)
        if frames == 0:
            return self._converter.finish(total_frames=self._total_frames)
        window = self._mix.window(self._position, frames)
        self._position += frames
        return self._converter.push(np.ascontiguousarray(window.T))


@dataclass(frozen=True, slots=True, kw_only=True)
class FullBand:
    """The mix as the model has it, and the original at its own rate; maybe the same."""

    mix: Mix
    original: Mix

    def song(self, *, rate_hz: int, total_frames: int) -> Song:
        """The original at that rate; at the model's own, the mix."""
        at_models_rate = rate_hz == self.mix.facts.sample_rate_hz
        mix = self.mix if at_models_rate else self.original
        return Song(mix, rate_hz=rate_hz, total_frames=total_frames)

    def serves(self, rate_hz: int) -> bool:
        """Whether the song at that rate is another than the mix brought to it."""
        models_hz = self.mix.facts.sample_rate_hz
        return models_hz not in (rate_hz, self.original.facts.sample_rate_hz)


@contextmanager
def open_band(mix_path: Path, original_path: Path, facts: MixFacts) -> Generator[FullBand]:
    """What `spool` has written; without an original the mix takes its place."""
    with ExitStack() as files:
        mix = files.enter_context(Mix(mix_path, facts))
        original = mix
        if original_path.exists():
            original = files.enter_context(Mix(original_path, facts.of_original))
        yield FullBand(mix=mix, original=original)
