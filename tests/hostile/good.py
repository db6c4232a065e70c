"""Sound files without fault, encoded in memory: what the hostile ones are made from."""

import functools
import io

import av
import numpy as np
import soundfile
from numpy.typing import NDArray

RATE_HZ = 48_000
LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}

# Container of FFmpeg's and its codec, by the name that a file would have.
KINDS = {
    "wav": ("wav", "pcm_s16le"),
    "w64": ("w64", "pcm_s16le"),
    "aiff": ("aiff", "pcm_s16be"),
    "caf": ("caf", "pcm_s16be"),
    "flac": ("flac", "flac"),
    "mp3": ("mp3", "libmp3lame"),
    "aac": ("adts", "aac"),
    "opus": ("ogg", "libopus"),
    "m4a": ("ipod", "aac"),
    "mp4": ("mp4", "aac"),
    "mov": ("mov", "pcm_s16le"),
    "webm": ("webm", "libopus"),
    "mka": ("matroska", "flac"),
}


@functools.cache
def good(kind: str, *, seconds: float = 1.0, rate_hz: int = RATE_HZ, channels: int = 2) -> bytes:
    """A song of tones."""
    samples = tones(seconds, rate_hz=rate_hz, channels=channels)
    if kind == "ogg":
        buffer = io.BytesIO()
        soundfile.write(buffer, samples, rate_hz, format="OGG")
        return buffer.getvalue()
    container, codec = KINDS[kind]
    return encoded(samples, container=container, codec=codec, rate_hz=rate_hz)


def tones(seconds: float, *, rate_hz: int = RATE_HZ, channels: int = 2) -> NDArray[np.float32]:
    """One tone per channel, (frames, channels)."""
    time = np.arange(int(seconds * rate_hz))[:, None] / rate_hz
    pitches = 220.0 * np.arange(1, channels + 1)
    return (0.3 * np.sin(2 * np.pi * pitches * time)).astype(np.float32)


def encoded(
    samples: NDArray[np.float32],
    *,
    container: str,
    codec: str,
    rate_hz: int = RATE_HZ,
    **options: str,
) -> bytes:
    """`samples` (frames, channels) by FFmpeg's encoder `codec`."""
    buffer = io.BytesIO()
    layout = LAYOUTS[samples.shape[1]]
    with av.open(buffer, "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate_hz, layout=layout, options=options)
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="flt", layout=layout)
        frame.sample_rate = rate_hz
        frame.pts = 0
        for part in (frame, None):
            output.mux(stream.encode(part))
    return buffer.getvalue()


def film(*, container: str, codec: str) -> bytes:
    """A video of one black picture, without sound."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as output:
        stream = output.add_stream(codec, rate=5)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
        for part in (picture, None):
            output.mux(stream.encode(part))
    return buffer.getvalue()
