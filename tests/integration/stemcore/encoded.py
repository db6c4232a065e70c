"""Source files of all kinds, encoded here from synthesised samples."""

from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}


def tones(frames: int, *, channels: int = 2, rate_hz: int = 44_100) -> NDArray[np.float32]:
    """One tone per channel, (frames, channels)."""
    time = np.arange(frames)[:, None] / rate_hz
    pitches = 220.0 * np.arange(1, channels + 1)
    return (0.3 * np.sin(2 * np.pi * pitches * time)).astype(np.float32)


def encode(
    path: Path,
    samples: NDArray[np.float32],
    *,
    codec: str,
    rate_hz: int = 44_100,
    container: str | None = None,
) -> Path:
    """Write `samples` (frames, channels) with FFmpeg's encoder `codec`."""
    layout = LAYOUTS[samples.shape[1]]
    with av.open(str(path), "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate_hz, layout=layout)
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="flt", layout=layout)
        frame.sample_rate = rate_hz
        frame.pts = 0
        for part in (frame, None):
            output.mux(stream.encode(part))
    return path


def silent_film(path: Path) -> Path:
    """A video without an audio track."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("mpeg4", rate=5)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
        for part in (picture, None):
            output.mux(stream.encode(part))
    return path
