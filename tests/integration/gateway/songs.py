"""Files to send, good and bad, made from nothing."""

import io
import struct
import wave

import numpy as np

SAMPLE_RATE_HZ = 8_000


def wav(*, seconds: float = 0.5, seed: int = 0) -> bytes:
    """A mono WAV of quiet noise."""
    samples = np.random.default_rng(seed).normal(0, 1_000, int(seconds * SAMPLE_RATE_HZ))
    return wav_of(samples.astype("<i2").tobytes())


def wav_of(pcm: bytes) -> bytes:
    """16-bit mono PCM in a WAV."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(pcm)
    return buffer.getvalue()


def wav_header(*, data_bytes: int, sample_rate_hz: int = 44_100) -> bytes:
    """What comes before `data_bytes` of 16-bit stereo PCM."""
    frame_bytes = 4
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        data_bytes + 36,
        b"WAVE",
        b"fmt ",
        16,
        1,
        2,
        sample_rate_hz,
        sample_rate_hz * frame_bytes,
        frame_bytes,
        16,
        b"data",
        data_bytes,
    )


def noise(size: int) -> bytes:
    """Bytes without any structure."""
    return np.random.default_rng(1).bytes(size)
