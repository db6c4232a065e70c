"""What an export is tried on: one segment each, [channels, samples], float32, from a seed."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from exporters.audio import Audio
from exporters.parity import SILENCE
from exporters.specification import WaveformSpecification

IMPULSES = ("clicks", "lone click")
_SEED = 20_260_101


def trial_signals(specification: WaveformSpecification) -> Mapping[str, Audio]:
    return {
        "music": music_like(specification),
        "noise": _noise(specification),
        "clicks": clicks(specification),
        "lone click": lone_click(specification),
        SILENCE: np.zeros(specification.signal_shape, np.float32),
    }


def trial_songs(specification: WaveformSpecification) -> Mapping[str, Audio]:
    """For models whose windows are summed: of several windows, of less than one, of odd lengths.

    The last frames of a song that ends within the second window's lead-in are in that window alone.
    """
    hop, lead_in = specification.joining.hop or 0, specification.joining.lead_in_samples
    return {
        "three windows": music_like(_of_length(specification, 2 * hop + 12_345)),
        "clicks to a seam": clicks(_of_length(specification, hop - lead_in // 2)),
        "short noise": _noise(_of_length(specification, 100_001)),
    }


def _of_length(specification: WaveformSpecification, samples: int) -> WaveformSpecification:
    return dataclasses.replace(specification, segment_samples=samples)


def music_like(specification: WaveformSpecification) -> Audio:
    """A chord progression with decaying harmonics, a bass below it and drum hits on the beat."""
    channels, samples = specification.signal_shape
    rng = np.random.default_rng(_SEED)
    seconds = np.arange(samples) / specification.sample_rate
    beat = seconds % 0.5
    mix = np.zeros((channels, samples))
    for root_hz, level in ((55.0, 0.3), (220.0, 0.12), (277.18, 0.1), (329.63, 0.1)):
        bar = np.floor(seconds / 2.0)
        pitch_hz = root_hz * 2 ** (np.array([0, 5, 7, 3])[bar.astype(int) % 4] / 12)
        phase = 2 * np.pi * np.cumsum(pitch_hz) / specification.sample_rate
        tone = sum(np.sin(k * phase) / k**1.5 for k in range(1, 9))
        pan = rng.uniform(0.4, 1.0, size=(channels, 1))
        mix += level * pan * tone * np.exp(-3 * beat)
    hits = rng.standard_normal((channels, samples)) * np.exp(-40 * beat)
    kick = np.sin(2 * np.pi * 60 * beat) * np.exp(-12 * beat)
    mix += 0.2 * hits + 0.4 * kick
    return (0.9 * mix / np.abs(mix).max()).astype(np.float32)


def clicks(specification: WaveformSpecification) -> Audio:
    """A full-scale sample every quarter of a second, nothing in between."""
    track = np.zeros(specification.signal_shape, np.float32)
    period = specification.sample_rate // 4
    track[:, period // 2 :: period] = 1.0
    return track


def lone_click(specification: WaveformSpecification) -> Audio:
    """One full-scale sample in digital silence: the hardest signal for float32."""
    click = np.zeros(specification.signal_shape, np.float32)
    click[:, specification.segment_samples // 2] = 1.0
    return click


def _noise(specification: WaveformSpecification) -> Audio:
    rng = np.random.default_rng(_SEED + 1)
    return rng.uniform(-1.0, 1.0, specification.signal_shape).astype(np.float32)
