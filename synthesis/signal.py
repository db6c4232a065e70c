"""Signal building blocks: wavetables, noise, envelopes, space. Mono is (n,), stereo (2, n)."""

import numpy as np
import numpy.typing as npt

Signal = npt.NDArray[np.float32]
SAMPLE_RATE_HZ = 44_100
_TABLE_SIZE = 2048


def table(amplitudes: npt.ArrayLike) -> Signal:
    """One cycle with the given harmonic amplitudes (fundamental first), peak 1."""
    spectrum = np.zeros(_TABLE_SIZE // 2 + 1, dtype=np.complex128)
    harmonics = np.asarray(amplitudes, dtype=np.float64)[: _TABLE_SIZE // 2 - 1]
    spectrum[1 : 1 + len(harmonics)] = -1j * harmonics
    cycle = np.fft.irfft(spectrum)
    return (cycle / max(float(np.abs(cycle).max()), 1e-9)).astype(np.float32)


def harmonics_below_nyquist(frequency_hz: float, *, at_most: int = 200) -> npt.NDArray[np.float64]:
    """Harmonic numbers of `frequency_hz` that stay below 16 kHz."""
    return np.arange(1, 1 + max(1, min(at_most, int(16_000 / frequency_hz))), dtype=np.float64)


def phase(
    frequency_hz: npt.ArrayLike, *, samples: int, start: float = 0.0
) -> npt.NDArray[np.float64]:
    """Phase in cycles of an oscillator with a constant or changing frequency."""
    increments = np.broadcast_to(np.asarray(frequency_hz, dtype=np.float64), (samples,))
    return start + np.cumsum(increments / SAMPLE_RATE_HZ)


def read_table(cycle: Signal, at: npt.NDArray[np.float64]) -> Signal:
    """The wavetable `cycle` at phases `at` in cycles, linearly interpolated."""
    position = (at % 1.0) * len(cycle)
    below = position.astype(np.int64)
    fraction = (position - below).astype(np.float32)
    below %= len(cycle)
    return cycle[below] * (1 - fraction) + cycle[(below + 1) % len(cycle)] * fraction


def decay(samples: int, *, half_life_s: float) -> Signal:
    """Exponential decay from 1."""
    time_s = np.arange(samples, dtype=np.float32) / SAMPLE_RATE_HZ
    return np.exp2(-time_s / np.float32(half_life_s))


def fade_edges(signal: Signal, *, attack_s: float, release_s: float) -> Signal:
    """`signal` with a linear rise and a raised-cosine end, so that it neither clicks on nor off."""
    n = signal.shape[-1]
    rise = min(n // 2, int(attack_s * SAMPLE_RATE_HZ))
    fall = min(n // 2, int(release_s * SAMPLE_RATE_HZ))
    shaped = signal.copy()
    if rise:
        shaped[..., :rise] *= np.linspace(0, 1, rise, dtype=np.float32)
    if fall:
        shaped[..., n - fall :] *= 0.5 + 0.5 * np.cos(np.linspace(0, np.pi, fall, dtype=np.float32))
    return shaped


def band_noise(rng: np.random.Generator, samples: int, *, low_hz: float, high_hz: float) -> Signal:
    """Gaussian noise between two frequencies with soft edges, deviation about 1."""
    size = fast_size(samples)
    spectrum = np.fft.rfft(rng.standard_normal(size))
    frequency_hz = np.fft.rfftfreq(size, 1 / SAMPLE_RATE_HZ) + 1e-3
    shape = 1 / (1 + (low_hz / frequency_hz) ** 6) / (1 + (frequency_hz / high_hz) ** 6)
    noise = np.fft.irfft(spectrum * shape)[:samples]
    return (noise / max(float(noise.std()), 1e-9)).astype(np.float32)


def pan(signal: Signal, *, position: float) -> Signal:
    """Mono to stereo with constant power; -1 is left, 1 is right."""
    angle = (position + 1) * np.pi / 4
    return np.stack([signal * np.float32(np.cos(angle)), signal * np.float32(np.sin(angle))])


def reverberated(signal: Signal, rng: np.random.Generator, *, decay_s: float, wet: float) -> Signal:
    """Stereo `signal` in a seeded room whose tail loses 60 dB in `decay_s`."""
    length = int(decay_s * SAMPLE_RATE_HZ)
    time_s = np.arange(length) / SAMPLE_RATE_HZ
    tail = np.stack(
        [band_noise(rng, length, low_hz=200, high_hz=6_000) for _ in range(2)]
    ) * np.power(10.0, -3 * time_s / decay_s)
    tail /= np.sqrt((tail**2).sum(axis=1, keepdims=True))
    size = fast_size(signal.shape[1] + length)
    wet_signal = np.stack(
        [
            np.fft.irfft(np.fft.rfft(dry, size) * np.fft.rfft(room, size), size)[: len(dry)]
            for dry, room in zip(signal, tail, strict=True)
        ]
    )
    return (signal + wet * wet_signal).astype(np.float32)


def fast_size(samples: int) -> int:
    """The smallest 2^a 3^b 5^c that is not below `samples`: sizes the FFT likes."""
    best = 1 << max(samples - 1, 1).bit_length()
    for threes in (1, 3, 9, 27):
        for fives in (1, 5, 25):
            rest = -(-samples // (threes * fives))
            best = min(best, threes * fives << max(rest - 1, 0).bit_length())
    return best


def add_at(target: Signal, part: Signal, *, start_s: float) -> None:
    """Add `part` into `target` from `start_s`, cut at the end of `target`."""
    start = int(start_s * SAMPLE_RATE_HZ)
    length = min(part.shape[-1], target.shape[-1] - start)
    if length > 0:
        target[..., start : start + length] += part[..., :length]


def level(signal: Signal) -> float:
    """Root mean square over all channels."""
    return float(np.sqrt(np.mean(np.square(signal, dtype=np.float64))))


def pitch_hz(pitch: float) -> float:
    """Frequency of a MIDI key."""
    return float(440.0 * 2.0 ** ((pitch - 69) / 12))
