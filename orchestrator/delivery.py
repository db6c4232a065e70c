"""From tape to stored files: level, rate, format. Encoding runs beside inference where it can."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import thread_time
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from orchestrator.audio.resample import RateConverter
from orchestrator.full_band import FullBand, Song
from orchestrator.mix import CHANNELS
from orchestrator.tape import Tape
from stemcore.separation_request import AudioFormat, ClipMode, OutputOptions
from stemcore.tasks import to_its_end

Samples = NDArray[np.float32]
T = TypeVar("T")

# Demucs' own headroom: `wav / max(1.01 * wav.abs().max(), 1)`.
RESCALE_HEADROOM = 1.01


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFormat:
    """A file to be written: how many frames, at which rate, in which format.

    `scaled_together`: rescaling takes one gain for all files of the tape, which keeps their sum.
    """

    format: AudioFormat
    bit_depth: int
    sample_rate_hz: int
    frames: int
    clip: ClipMode
    scaled_together: bool = False

    @classmethod
    def of(
        cls,
        options: OutputOptions,
        *,
        clip: ClipMode,
        rate_hz: int,
        frames: int,
        scaled_together: bool = False,
    ) -> "FileFormat":
        """The wanted format at a rate already settled."""
        return cls(
            format=options.format,
            bit_depth=options.bit_depth,
            sample_rate_hz=rate_hz,
            frames=frames,
            clip=clip,
            scaled_together=scaled_together,
        )


class StemEncoder(Protocol):
    """Turns frames into the bytes of a file."""

    def encode(
        self,
        blocks: AsyncIterator[Samples],
        *,
        file: FileFormat,
        scratch: Path,
        report: "DeliveryReport",
    ) -> AsyncIterator[bytes]:
        """Blocks (frames, channels) within full scale to a file's bytes, in order.

        `scratch` names a file that may be used on the way.
        """
        ...


@dataclass(slots=True, kw_only=True)
class DeliveryReport:
    """What the encoding of one stem took and met."""

    encode_s: float = 0.0
    clipped_samples: int = 0


class Shaper:
    """Blocks (frames, channels) of a stem as they go into its file: level, rate, length.

    The `share` of the song that is in it comes from the song itself where rates differ.
    """

    def __init__(
        self,
        file: FileFormat,
        *,
        band: FullBand,
        share: float,
        gain: np.float32,
        report: DeliveryReport,
    ) -> None:
        self._file = file
        self._mix = band.mix
        self._share = np.float32(share)
        self._gain = gain
        self._report = report
        self._position = 0
        self._converter = RateConverter(
            source_hz=band.mix.facts.sample_rate_hz,
            target_hz=file.sample_rate_hz,
            channels=CHANNELS,
        )
        self._song: Song | None = None
        if share and band.serves(file.sample_rate_hz):
            self._song = band.song(rate_hz=file.sample_rate_hz, total_frames=file.frames)

    def push(self, block: Samples) -> Samples:
        """The next block."""
        if self._song is not None:
            mix = self._mix.window(self._position, len(block)).T
            self._position += len(block)
            block = np.ascontiguousarray(block - self._part_of(mix))
        return self._levelled(self._with_song(self._converter.push(block)))

    def finish(self) -> Samples:
        """The rest, so that all together has the file's frames."""
        tail = self._converter.finish(total_frames=self._file.frames)
        return self._levelled(self._with_song(tail))

    def _with_song(self, block: Samples) -> Samples:
        if self._song is None:
            return block
        return block + self._part_of(self._song.take(len(block)))

    def _part_of(self, song: Samples) -> Samples:
        return song * self._share

    def _levelled(self, block: Samples) -> Samples:
        block = block if self._gain == 1 else block * self._gain
        if self._file.clip is ClipMode.NONE:
            return block
        self._report.clipped_samples += int(np.count_nonzero(np.abs(block) > 1))
        return np.clip(block, -1, 1)


async def delivered_blocks(
    tape: Tape,
    name: str,
    *,
    band: FullBand,
    share: float,
    file: FileFormat,
    report: DeliveryReport,
) -> AsyncIterator[Samples]:
    """The stem as it goes into the file: rescaled or clamped, at the file's rate and length."""
    gain = await gain_of(tape, name, file)
    shaper = Shaper(file, band=band, share=share, gain=gain, report=report)
    async for block in tape.blocks(name):
        yield await timed(report, partial(shaper.push, block))
    yield await timed(report, shaper.finish)


async def timed(report: DeliveryReport, work: Callable[[], T]) -> T:
    """Run `work` in a thread and count its processor time as encoding."""

    def measured() -> tuple[T, float]:
        started = thread_time()
        return work(), thread_time() - started

    # An encoder must not be closed while a thread is still in it.
    value, seconds = await to_its_end(asyncio.to_thread(measured))
    report.encode_s += seconds
    return value


async def gain_of(tape: Tape, stem: str, file: FileFormat) -> np.float32:
    """What the stem is multiplied by; known at the tape's end where it depends on peaks."""
    if file.clip is not ClipMode.RESCALE:
        return np.float32(1)
    peak = await (tape.highest_peak() if file.scaled_together else tape.peak(stem))
    return np.float32(1 / max(RESCALE_HEADROOM * peak, 1.0))
