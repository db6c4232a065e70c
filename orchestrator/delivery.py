"""From tape to stored files: level, rate, format. Encoding runs beside inference where it can."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from time import thread_time
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from orchestrator.audio.resample import RateConverter
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
    """A file to be written: how many frames, at which rate, in which format."""

    format: AudioFormat
    bit_depth: int
    sample_rate_hz: int
    frames: int
    clip: ClipMode

    @classmethod
    def of(
        cls, options: OutputOptions, *, clip: ClipMode, rate_hz: int, frames: int
    ) -> "FileFormat":
        """The wanted format at a rate already settled."""
        return cls(
            format=options.format,
            bit_depth=options.bit_depth,
            sample_rate_hz=rate_hz,
            frames=frames,
            clip=clip,
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


async def delivered_blocks(
    tape: Tape, stem: str, *, source_hz: int, file: FileFormat, report: DeliveryReport
) -> AsyncIterator[Samples]:
    """The stem as it goes into the file: rescaled or clamped, at the file's rate and length."""
    gain = await _gain(tape, stem, file)
    converter = RateConverter(source_hz=source_hz, target_hz=file.sample_rate_hz, channels=CHANNELS)

    def shaped(block: Samples) -> Samples:
        return _levelled(converter.push(block), gain=gain, clip=file.clip, report=report)

    def rest() -> Samples:
        tail = converter.finish(total_frames=file.frames)
        return _levelled(tail, gain=gain, clip=file.clip, report=report)

    async for block in tape.blocks(stem):
        yield await timed(report, lambda block=block: shaped(block))
    yield await timed(report, rest)


async def timed(report: DeliveryReport, work: Callable[[], T]) -> T:
    """Run `work` in a thread and count its processor time as encoding."""

    def measured() -> tuple[T, float]:
        started = thread_time()
        return work(), thread_time() - started

    # An encoder must not be closed while a thread is still in it.
    value, seconds = await to_its_end(asyncio.to_thread(measured))
    report.encode_s += seconds
    return value


async def _gain(tape: Tape, stem: str, file: FileFormat) -> np.float32:
    if file.clip is not ClipMode.RESCALE:
        return np.float32(1)
    peak = await tape.peak(stem)
    return np.float32(1 / max(RESCALE_HEADROOM * peak, 1.0))


def _levelled(
    block: Samples, *, gain: np.float32, clip: ClipMode, report: DeliveryReport
) -> Samples:
    block = block if gain == 1 else block * gain
    if clip is ClipMode.NONE:
        return block
    report.clipped_samples += int(np.count_nonzero(np.abs(block) > 1))
    return np.clip(block, -1, 1)
