"""What a mixing engineer does to a stem: equaliser, saturation, doubling, room."""

import numpy as np

from synthesis.signal import SAMPLE_RATE_HZ, Signal, fast_size, pan, reverberated


def equalised(signal: Signal, rng: np.random.Generator, *, spread_db: float) -> Signal:
    """A smooth random equaliser over six bands, its gains drawn with deviation `spread_db`."""
    size = fast_size(signal.shape[-1])
    frequency_hz = np.fft.rfftfreq(size, 1 / SAMPLE_RATE_HZ)
    centres_hz = np.geomspace(60, 12_000, 6)
    gains_db = rng.normal(0, spread_db, size=6)
    curve_db = np.interp(np.log(frequency_hz + 1), np.log(centres_hz), gains_db)
    spectrum = np.fft.rfft(signal, size) * 10 ** (curve_db / 20)
    return np.fft.irfft(spectrum, size)[..., : signal.shape[-1]].astype(np.float32)


def saturated(signal: Signal, *, drive: float) -> Signal:
    """Soft clipping; the peak reaches tanh(drive)."""
    peak = max(float(np.abs(signal).max()), 1e-9)
    return np.tanh(signal * np.float32(drive / peak))


def produced_vocal(lead: Signal, rng: np.random.Generator) -> Signal:
    """A mono voice as a stereo track: sometimes doubled, always in a room."""
    track = pan(lead, position=float(rng.uniform(-0.15, 0.15)))
    if rng.random() < 0.4:
        late = int(rng.uniform(0.012, 0.03) * SAMPLE_RATE_HZ)
        double = np.pad(lead, (late, 0))[: len(lead)] * np.float32(rng.uniform(0.2, 0.5))
        track += pan(double, position=float(rng.choice([-0.8, 0.8])))
    wet = float(rng.uniform(0.05, 0.35))
    return reverberated(track, rng, decay_s=float(rng.uniform(0.4, 1.8)), wet=wet)
