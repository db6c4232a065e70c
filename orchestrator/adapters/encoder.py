"""WAV as a stream of our own bytes; FLAC by libsndfile, through a scratch file."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from orchestrator.audio.wav import quantised, sample_bytes, wav_header, wav_padding
from orchestrator.delivery import DeliveryReport, FileFormat, timed
from orchestrator.mix import CHANNELS
from stemcore.scratch import scratch_errors
from stemcore.separation_request import AudioFormat

Samples = NDArray[np.float32]

CHUNK_BYTES = 1 << 20


class FileEncoder:
    """A StemEncoder."""

    def encode(
        self,
        blocks: AsyncIterator[Samples],
        *,
        file: FileFormat,
        scratch: Path,
        report: DeliveryReport,
    ) -> AsyncIterator[bytes]:
        """Blocks to bytes."""
        if file.format is AudioFormat.WAV:
            return _wav(blocks, file, report)
        return _flac(blocks, file, scratch, report)


async def _wav(
    blocks: AsyncIterator[Samples], file: FileFormat, report: DeliveryReport
) -> AsyncIterator[bytes]:
    shape = {"frames": file.frames, "channels": CHANNELS, "bit_depth": file.bit_depth}
    yield wav_header(**shape, sample_rate_hz=file.sample_rate_hz)
    async for block in blocks:
        yield await timed(report, partial(sample_bytes, block, bit_depth=file.bit_depth))
    if padding := wav_padding(**shape):
        yield padding


async def _flac(
    blocks: AsyncIterator[Samples], file: FileFormat, scratch: Path, report: DeliveryReport
) -> AsyncIterator[bytes]:
    await _write_flac(blocks, file, scratch, report)
    encoded = await asyncio.to_thread(scratch.open, "rb")
    with encoded:
        while chunk := await asyncio.to_thread(encoded.read, CHUNK_BYTES):
            yield chunk
    await asyncio.to_thread(scratch.unlink)


async def _write_flac(
    blocks: AsyncIterator[Samples], file: FileFormat, scratch: Path, report: DeliveryReport
) -> None:
    flac: Any = soundfile.SoundFile(
        scratch,
        mode="w",
        samplerate=file.sample_rate_hz,
        channels=CHANNELS,
        format="FLAC",
        subtype=f"PCM_{file.bit_depth}",
    )
    # libsndfile takes integers of 32 bits and keeps the uppermost.
    shift = 32 - file.bit_depth

    def write(block: Samples) -> None:
        with scratch_errors():
            flac.write(quantised(block, bit_depth=file.bit_depth) << shift)

    with flac:
        async for block in blocks:
            await timed(report, partial(write, block))
