"""What a decoder process tells and sends: blocking, for a thread of its own."""

import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from stemcore.audio_decoder.answers import Opened, broken
from stemcore.audio_decoder.facts import SourceFacts
from stemcore.audio_decoder.process import DecoderProcess

BLOCK_FRAMES = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedSource:
    """What came of a whole decoding: exact facts, and packets left out."""

    facts: SourceFacts
    damaged_packets: int


class PcmStream:
    """Decoded float32 blocks (frames, channels) at the source's rate; read it to its end once."""

    def __init__(self, process: DecoderProcess, pipe: BinaryIO, opened: Opened) -> None:
        self._process = process
        self._pipe = pipe
        self._opened = opened
        self._ended: DecodedSource | None = None

    @property
    def facts(self) -> SourceFacts:
        """The source's facts; its duration is not known yet."""
        return _facts(self._opened, duration_s=0.0)

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Blocks of at most BLOCK_FRAMES; raises InvalidInput when the source breaks off.

        The child counts and stops; more from it than allowed is a child that has lost its mind.
        """
        channels = self._opened.channels
        frame_bytes = 4 * channels
        left = self._process.limits.max_frames(self._opened.sample_rate_hz, channels=channels)
        while data := _read_full(self._pipe.fileno(), BLOCK_FRAMES * frame_bytes):
            whole = len(data) // frame_bytes * frame_bytes
            samples = np.frombuffer(data[:whole], dtype=np.float32)
            left -= len(samples) // channels
            if left < 0:
                raise broken()
            yield samples.reshape(-1, channels)
        finished = self._process.finished()
        self._ended = DecodedSource(
            facts=_facts(self._opened, duration_s=finished.duration_s),
            damaged_packets=finished.damaged_packets,
        )

    @property
    def ended(self) -> DecodedSource:
        """The outcome, after the last block."""
        if self._ended is None:
            raise RuntimeError("the stream has not been read to its end")
        return self._ended


def probed_facts(process: DecoderProcess, path: Path) -> SourceFacts:
    """Have the beginning decoded; facts with a provisional duration."""
    process.request("probe", source=path, pcm=None)
    opened = process.opened()
    return _facts(opened, duration_s=process.finished().duration_s)


@contextmanager
def pcm_stream(process: DecoderProcess, path: Path) -> Generator[PcmStream]:
    """Have all of it decoded into a pipe, which is closed at the end."""
    ours, theirs = os.pipe2(os.O_CLOEXEC)
    with os.fdopen(ours, "rb", buffering=0) as pipe:
        try:
            process.request("decode", source=path, pcm=theirs)
        finally:
            os.close(theirs)
        yield PcmStream(process, pipe, process.opened())


def _facts(opened: Opened, *, duration_s: float) -> SourceFacts:
    return SourceFacts(
        duration_s=duration_s,
        sample_rate_hz=opened.sample_rate_hz,
        channels=opened.channels,
        codec=opened.codec,
        container=opened.container,
        channel_names=opened.channel_names,
    )


def _read_full(descriptor: int, size: int) -> bytearray:
    """Exactly `size` bytes, or fewer at the end of the stream."""
    data = bytearray(size)
    view, filled = memoryview(data), 0
    while filled < size and (count := os.readv(descriptor, [view[filled:]])):
        filled += count
    view.release()
    del data[filled:]
    return data
