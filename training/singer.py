"""Makes espeak-ng sing: words spoken on one pitch become grains laid out along a melody.

The method is pitch-synchronous overlap-add (Moulines and Charpentier 1990): two-period grains are
taken where the word is read and put down at the period of the note, so formants stay in place.
"""

import io
from dataclasses import dataclass

import numpy as np
import soundfile
import soxr

from synthesis import Note
from synthesis.signal import SAMPLE_RATE_HZ, Signal, add_at, pitch_hz
from training.manifest import Voice
from training.programs import call

_WORDS = (
    "love", "baby", "night", "dreaming", "home", "away", "river", "la", "fire", "you", "tonight",
    "follow", "summer", "alone", "moonlight", "remember", "no", "hey", "shine", "forever", "salt",
    "golden", "believe", "blue", "story", "wonder", "ooh", "never", "rain", "velvet",
)  # fmt: skip
_PITCH_STEPS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class _Word:
    """A spoken word at 44.1 kHz and the period it was spoken on, in samples."""

    samples: Signal
    period: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Style:
    vibrato_hz: float
    vibrato_depth: float
    scoop: float
    octave: int


def sing(
    notes: tuple[Note, ...], voice: Voice, rng: np.random.Generator, *, samples: int
) -> Signal:
    """The melody sung by `voice` as mono (samples,)."""
    words = _vocabulary(voice, rng)
    style = _Style(
        vibrato_hz=float(rng.uniform(4.5, 6.5)),
        vibrato_depth=float(rng.uniform(0.0, 0.018)),
        scoop=float(rng.uniform(0.0, 0.06)),
        octave=_octave(notes, words),
    )
    track = np.zeros(samples, dtype=np.float32)
    for note in notes:
        word = words[int(rng.integers(len(words)))]
        add_at(track, _sung(word, note, style), start_s=note.start_s)
    return track


def _octave(notes: tuple[Note, ...], words: list[_Word]) -> int:
    """The transposition in octaves that brings the melody near the voice's own pitch."""
    spoken_hz = SAMPLE_RATE_HZ / float(np.median([word.period for word in words]))
    middle_hz = pitch_hz(float(np.median([note.pitch for note in notes]))) if notes else spoken_hz
    return int(np.clip(round(float(np.log2(spoken_hz * 1.6 / middle_hz))), -1, 1))


def _vocabulary(voice: Voice, rng: np.random.Generator) -> list[_Word]:
    chosen = rng.choice(_WORDS, size=6, replace=False)
    spoken_pitch = int(rng.integers(30, _PITCH_STEPS))
    tract = float(rng.uniform(0.92, 1.12))
    words = [_spoken(str(word), voice, pitch=spoken_pitch, tract=tract) for word in chosen]
    return [word for word in words if word is not None]


def _spoken(text: str, voice: Voice, *, pitch: int, tract: float) -> _Word | None:
    name = f"{voice.language}+{voice.variant}"
    ssml = f'<prosody range="0">{text}</prosody>'
    speech = call(
        ["espeak-ng", "-v", name, "-m", "-p", str(pitch), "-s", "110", "--stdout", ssml],
        timeout_s=120,
    )
    samples, rate_hz = soundfile.read(io.BytesIO(_sized(speech)), dtype="float32")
    trimmed = _trimmed(samples.astype(np.float32))
    if len(trimmed) < rate_hz // 10:
        return None
    resampled = soxr.resample(trimmed, rate_hz, SAMPLE_RATE_HZ / tract)
    peak = max(float(np.abs(resampled).max()), 1e-6)
    return _Word(samples=(resampled / peak).astype(np.float32), period=_period(resampled))


def _sized(wav: bytes) -> bytes:
    """The stream with its true sizes: espeak-ng cannot know them when it writes to a pipe."""
    header = bytearray(wav)
    header[4:8] = (len(wav) - 8).to_bytes(4, "little")
    header[40:44] = (len(wav) - 44).to_bytes(4, "little")
    return bytes(header)


def _trimmed(samples: Signal) -> Signal:
    audible = np.flatnonzero(np.abs(samples) > 0.02 * max(float(np.abs(samples).max()), 1e-6))
    return samples[audible[0] : audible[-1] + 1] if len(audible) else samples[:0]


def _period(samples: Signal) -> float:
    """The strongest period between 60 and 500 Hz of the whole word."""
    size = 1 << (2 * len(samples) - 1).bit_length()
    power = np.abs(np.fft.rfft(samples, size)) ** 2
    correlation = np.fft.irfft(power)[: len(samples)]
    shortest, longest = SAMPLE_RATE_HZ // 500, SAMPLE_RATE_HZ // 60
    lags = correlation[shortest:longest]
    best = float(lags.max())
    # The first peak close to the best one: later ones are its multiples.
    inner = lags[1:-1]
    peaks = np.flatnonzero((inner >= lags[:-2]) & (inner > lags[2:]) & (inner > 0.85 * best))
    return float(shortest + 1 + peaks[0]) if len(peaks) else float(shortest + lags.argmax())


def _sung(word: _Word, note: Note, style: _Style) -> Signal:
    length = int(note.duration_s * SAMPLE_RATE_HZ)
    reach = int(np.ceil(word.period))
    window = np.hanning(2 * reach + 1).astype(np.float32)
    source = np.pad(word.samples, reach)
    sung = np.zeros(length + 2 * reach + 1, dtype=np.float32)
    base_hz = pitch_hz(note.pitch + 12 * style.octave)
    position = 0.0
    while position < length:
        centre = round(round(_read_at(position, word, length) / word.period) * word.period)
        grain = source[centre : centre + 2 * reach + 1]
        if len(grain) == len(window):
            at = int(position)
            sung[at : at + len(window)] += grain * window
        position += SAMPLE_RATE_HZ / (base_hz * _bend(position / SAMPLE_RATE_HZ, style))
    return sung * np.float32(note.velocity)


def _bend(time_s: float, style: _Style) -> float:
    vibrato = style.vibrato_depth * min(time_s / 0.4, 1.0)
    scoop = style.scoop * float(np.exp(-time_s / 0.06))
    return 1 - scoop + vibrato * float(np.sin(2 * np.pi * style.vibrato_hz * time_s))


def _read_at(position: float, word: _Word, length: int) -> float:
    """Onset and ending keep their speed, the middle of the word is stretched to fill the note."""
    spoken = len(word.samples)
    edge = min(0.25 * spoken, 0.25 * length, 0.09 * SAMPLE_RATE_HZ)
    if position < edge:
        return position
    if position > length - edge:
        return spoken - (length - position)
    return edge + (position - edge) / max(length - 2 * edge, 1.0) * (spoken - 2 * edge)
