"""Probe and decode sources, each in a process of its own, with a deadline on the clock."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from stemcore.audio_decoder.facts import DecodeLimits, SourceFacts
from stemcore.audio_decoder.pcm import PcmStream, pcm_stream, probed_facts
from stemcore.audio_decoder.pool import DecoderPool
from stemcore.audio_decoder.process import DecoderBroken, DecoderProcess
from stemcore.audio_decoder.protections import Protection, SandboxTooWeak
from stemcore.audio_decoder.settings import SandboxSettings
from stemcore.audio_decoder.sniff import refuse_by_content
from stemcore.errors import ErrorCode, InvalidInput, Unavailable
from stemcore.tasks import to_its_end

T = TypeVar("T")


class AudioDecoder:
    """Looks into strangers' files and unfolds them, in processes that can do nothing else."""

    def __init__(
        self, pool: DecoderPool, *, limits: DecodeLimits, protections: frozenset[Protection]
    ) -> None:
        self._pool = pool
        self._limits = limits
        self.protections = protections

    async def probe(self, path: Path) -> SourceFacts:
        """What the source is, with a provisional duration, proven by decoding its first second.

        Raises InvalidInput with a code for every way in which a file is no usable audio, and
        Unavailable when no process can be had.
        """
        limits = self._limits
        await asyncio.to_thread(refuse_by_content, path, max_bytes=limits.max_bytes)
        facts = await self._supervised(probed_facts, path, timeout_s=limits.probe_timeout_s)
        if facts.duration_s > limits.max_duration_s:
            raise InvalidInput(
                ErrorCode.AUDIO_TOO_LONG,
                "The audio is longer than allowed.",
                details={"duration_s": facts.duration_s, "max_duration_s": limits.max_duration_s},
            )
        return facts

    async def decode(self, path: Path, consume: Callable[[PcmStream], T]) -> T:
        """Run `consume` over the decoded stream in a thread and return its value.

        Cancellation and the deadline kill the process, which ends the stream. Raises InvalidInput
        and Unavailable as `probe` does.
        """
        limits = self._limits
        await asyncio.to_thread(refuse_by_content, path, max_bytes=limits.max_bytes)

        def work(process: DecoderProcess, source: Path) -> T:
            with pcm_stream(process, source) as stream:
                return consume(stream)

        return await self._supervised(work, path, timeout_s=limits.decode_timeout_s)

    async def _supervised(
        self, work: Callable[[DecoderProcess, Path], T], path: Path, *, timeout_s: float
    ) -> T:
        with _no_process():
            try:
                return await self._attempt(work, path, timeout_s=timeout_s)
            except DecoderBroken:
                # It died while it waited, and has seen nothing of the source.
                return await self._attempt(work, path, timeout_s=timeout_s, fresh=True)

    async def _attempt(
        self,
        work: Callable[[DecoderProcess, Path], T],
        path: Path,
        *,
        timeout_s: float,
        fresh: bool = False,
    ) -> T:
        async with self._pool.process(fresh=fresh) as process:
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


@contextmanager
def _no_process() -> Generator[None]:
    """Tell a decoder that cannot be had from a file that cannot be read."""
    try:
        yield
    except (DecoderBroken, SandboxTooWeak) as error:
        raise Unavailable(
            ErrorCode.DECODER_UNAVAILABLE, "No decoder can be started at the moment."
        ) from error


@asynccontextmanager
async def open_decoder(
    settings: SandboxSettings, *, limits: DecodeLimits
) -> AsyncGenerator[AudioDecoder]:
    """A decoder whose processes have shown that they are confined as required.

    Raises SandboxTooWeak, and DecoderBroken when no process can be started.
    """
    pool = DecoderPool(settings, limits=limits)
    try:
        protections = await pool.open()
        yield AudioDecoder(pool, limits=limits, protections=protections)
    finally:
        await to_its_end(pool.close())
