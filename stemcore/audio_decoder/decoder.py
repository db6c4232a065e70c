"""Probe and decode a source in a process of its own, with a deadline on the clock."""

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from stemcore.audio_decoder.facts import DecodeLimits, SourceFacts
from stemcore.audio_decoder.process import DecoderProcess
from stemcore.audio_decoder.sniff import refuse_by_content
from stemcore.errors import ErrorCode, InvalidInput

BLOCK_FRAMES = 1 << 16

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedSource:
    """What came of a whole decoding: exact facts, packets left out, the consumer's value."""

    facts: SourceFacts
    damaged_packets: int


class PcmStream:
    """Decoded float32 blocks (frames, channels) at the source's rate; read it to its end once."""

    def __init__(self, process: DecoderProcess, pipe: int, opened: dict[str, Any]) -> None:
        self._process = process
        self._pipe = pipe
        self._opened = opened
        self._ended: DecodedSource | None = None

    @property
    def facts(self) -> SourceFacts:
        """The source's facts; its duration is not known yet."""
        return _facts(self._opened, duration_s=0.0)

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Blocks of at most BLOCK_FRAMES; raises InvalidInput when the source breaks off."""
        frame_bytes = 4 * int(self._opened["channels"])
        with os.fdopen(self._pipe, "rb", buffering=0) as pipe:
            while data := _read_full(pipe.fileno(), BLOCK_FRAMES * frame_bytes):
                whole = len(data) // frame_bytes * frame_bytes
                samples = np.frombuffer(data[:whole], dtype=np.float32)
                yield samples.reshape(-1, int(self._opened["channels"]))
        finished = self._process.answer()
        self._ended = DecodedSource(
            facts=_facts(self._opened, duration_s=finished["duration_s"]),
            damaged_packets=finished["damaged_packets"],
        )

    @property
    def ended(self) -> DecodedSource:
        """The outcome, after the last block."""
        if self._ended is None:
            raise RuntimeError("the stream has not been read to its end")
        return self._ended


async def probe(path: Path, *, limits: DecodeLimits | None = None) -> SourceFacts:
    """What the source is, with a provisional duration, proven by decoding its first second.

    Raises InvalidInput with a code for every way in which a file is no usable audio.
    """
    limits = limits or DecodeLimits()
    await asyncio.to_thread(refuse_by_content, path, max_bytes=limits.max_bytes)
    facts = await _supervised(_probe, path, limits=limits, timeout_s=limits.probe_timeout_s)
    if facts.duration_s > limits.max_duration_s:
        raise InvalidInput(
            ErrorCode.AUDIO_TOO_LONG,
            "The audio is longer than allowed.",
            details={"duration_s": facts.duration_s, "max_duration_s": limits.max_duration_s},
        )
    return facts


async def decode(
    path: Path, consume: Callable[[PcmStream], T], *, limits: DecodeLimits | None = None
) -> T:
    """Run `consume` over the decoded stream in a thread and return its value.

    Cancellation and the deadline kill the process, which ends the stream. Raises InvalidInput.
    """
    limits = limits or DecodeLimits()
    await asyncio.to_thread(refuse_by_content, path, max_bytes=limits.max_bytes)

    def work(process: DecoderProcess, source: Path) -> T:
        return _decode(process, source, consume, timeout_s=limits.decode_timeout_s)

    return await _supervised(work, path, limits=limits, timeout_s=limits.decode_timeout_s)


async def _supervised(
    work: Callable[[DecoderProcess, Path], T], path: Path, *, limits: DecodeLimits, timeout_s: float
) -> T:
    with await asyncio.to_thread(DecoderProcess, limits) as process:
        thread = asyncio.ensure_future(asyncio.to_thread(work, process, path))
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.shield(thread)
        except TimeoutError as error:
            raise InvalidInput(
                ErrorCode.DECODE_TIMEOUT,
                "Decoding took longer than allowed.",
                details={"timeout_s": timeout_s},
            ) from error
        finally:
            process.kill()
            with suppress(Exception):
                await asyncio.shield(thread)


def _probe(process: DecoderProcess, path: Path) -> SourceFacts:
    process.request("probe", source=path, pcm=None, cpu_s=10)
    opened = process.answer()
    return _facts(opened, duration_s=process.answer()["duration_s"])


def _decode(
    process: DecoderProcess, path: Path, consume: Callable[[PcmStream], T], *, timeout_s: float
) -> T:
    ours, theirs = os.pipe2(os.O_CLOEXEC)
    try:
        process.request("decode", source=path, pcm=theirs, cpu_s=timeout_s)
    finally:
        os.close(theirs)
    try:
        stream = PcmStream(process, os.dup(ours), process.answer())
    finally:
        os.close(ours)
    return consume(stream)


def _facts(opened: dict[str, Any], *, duration_s: float) -> SourceFacts:
    return SourceFacts(
        duration_s=duration_s,
        sample_rate_hz=opened["sample_rate_hz"],
        channels=opened["channels"],
        codec=opened["codec"],
        container=opened["container"],
        channel_names=tuple(opened["channel_names"]),
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
