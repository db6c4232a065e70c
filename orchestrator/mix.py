"""The mix: the source as the model takes it, in a scratch file, with what one pass over it told."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from orchestrator.audio.mixdown import mixdown_matrix, mixed_down
from orchestrator.audio.normalisation import Normalisation, TrackMoments
from orchestrator.audio.resample import RateConverter, scaled_frames
from stemcore.audio_decoder import DecodedSource, SourceFacts
from stemcore.errors import ErrorCode, InvalidInput
from stemcore.scratch import scratch_errors

Samples = NDArray[np.float32]

CHANNELS = 2
FRAME_BYTES = 4 * CHANNELS

# Far above all music, and far enough below the end of float32 for sums and gains.
LARGEST_SAMPLE = np.float32(2.0**100)


@dataclass(frozen=True, slots=True, kw_only=True)
class MixFacts:
    """What the pass found; `frames` are at the model's rate, `source_frames` at the source's."""

    source: SourceFacts
    source_frames: int
    damaged_packets: int
    frames: int
    sample_rate_hz: int
    normalisation: Normalisation
    peak: float
    sha256: str

    @property
    def of_original(self) -> "MixFacts":
        """Of the file that holds the mix at the source's own rate."""
        return replace(self, frames=self.source_frames, sample_rate_hz=self.source.sample_rate_hz)


class SourceStream(Protocol):
    """A decoded source, read once to its end."""

    @property
    def facts(self) -> SourceFacts:
        """Known from the start, but for the duration."""
        ...

    def blocks(self) -> Iterator[Samples]:
        """Blocks (frames, channels) at the source's rate."""
        ...

    @property
    def ended(self) -> DecodedSource:
        """Known after the last block."""
        ...


class Mix:
    """Random access to the scratch file, by `pread`: mapped pages would count as memory."""

    def __init__(self, path: Path, facts: MixFacts) -> None:
        self.facts = facts
        self._file = path.open("rb", buffering=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def window(self, start: int, samples: int) -> Samples:
        """Samples [start, start + samples) as (channels, samples), zeros outside the track."""
        window = np.zeros((CHANNELS, samples), dtype=np.float32)
        inside = self.inside(start, samples)
        size, offset = (inside.stop - inside.start) * FRAME_BYTES, start + inside.start
        data = os.pread(self._file.fileno(), size, max(0, offset) * FRAME_BYTES)
        window[:, inside] = np.frombuffer(data, dtype=np.float32).reshape(-1, CHANNELS).T
        return window

    def inside(self, start: int, samples: int) -> slice:
        """The part of such a window that lies on the track; maybe none."""
        first = min(max(0, -start), samples)
        last = min(samples, self.facts.frames - start)
        return slice(first, max(first, last))


def spool(
    stream: SourceStream, path: Path, *, sample_rate_hz: int, original: Path | None = None
) -> MixFacts:
    """Mix down, resample and write a decoded stream in one pass; blocks.

    With `original` the mix is written there at the source's rate too, where that is another one.
    Raises InvalidInput for samples that are no numbers and Unavailable when scratch is full.
    """
    source = stream.facts
    matrix = mixdown_matrix(source.channels, names=source.channel_names)
    converter = RateConverter(
        source_hz=source.sample_rate_hz, target_hz=sample_rate_hz, channels=CHANNELS
    )
    source_frames = 0
    with scratch_errors(), ExitStack() as files:
        spooled = _Spool(files.enter_context(path.open("xb", buffering=0)).fileno())
        kept: BinaryIO | None = None
        if original is not None and source.sample_rate_hz != sample_rate_hz:
            kept = files.enter_context(original.open("xb", buffering=0))
        for block in stream.blocks():
            source_frames += len(block)
            mixed = mixed_down(_checked(block), matrix)
            if kept is not None:
                write_fully(kept.fileno(), np.ascontiguousarray(mixed))
            spooled.write(converter.push(mixed))
        frames = scaled_frames(
            source_frames, source_hz=source.sample_rate_hz, target_hz=sample_rate_hz
        )
        spooled.write(converter.finish(total_frames=max(1, frames)))
    return MixFacts(
        source=stream.ended.facts,
        source_frames=source_frames,
        damaged_packets=stream.ended.damaged_packets,
        frames=spooled.moments.count,
        sample_rate_hz=sample_rate_hz,
        normalisation=spooled.moments.normalisation(),
        peak=spooled.peak,
        sha256=spooled.digest.hexdigest(),
    )


class _Spool:
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.moments = TrackMoments()
        self.peak = 0.0
        self.digest = hashlib.sha256()

    def write(self, block: Samples) -> None:
        if not len(block):
            return
        self.moments.add(block)
        self.peak = max(self.peak, peak_of(block))
        contiguous = np.ascontiguousarray(block)
        self.digest.update(contiguous.data)
        write_fully(self._descriptor, contiguous)


def _checked(block: Samples) -> Samples:
    if not (np.abs(block) <= LARGEST_SAMPLE).all():
        raise InvalidInput(
            ErrorCode.INVALID_SAMPLES,
            "The audio holds samples that are infinite, not numbers or beyond all measure.",
        )
    return block


def peak_of(samples: Samples) -> float:
    """The largest magnitude."""
    return float(max(samples.max(), -samples.min()))


def write_fully(descriptor: int, samples: Samples) -> None:
    """All of the contiguous array's bytes, appended."""
    view = samples.data.cast("B")
    while view:
        view = view[os.write(descriptor, view) :]
