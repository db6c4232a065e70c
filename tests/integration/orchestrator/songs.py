"""Songs as files, made from tones."""

import io

import numpy as np
import soundfile
from numpy.typing import NDArray

from tests.integration.stemcore.encoded import tones


def wav(samples: NDArray[np.float32], *, rate_hz: int = 44_100, subtype: str = "FLOAT") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate_hz, format="WAV", subtype=subtype)
    return file.getvalue()


def song_of(frames: int, *, channels: int = 2, rate_hz: int = 44_100) -> NDArray[np.float32]:
    """Tones without an offset: Demucs adds the track's mean to every stem, and so do we."""
    song = tones(frames, channels=channels, rate_hz=rate_hz)
    return song - song.mean(dtype=np.float64).astype(np.float32)
