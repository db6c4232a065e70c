"""Decoder processes started ahead, each used for one source and replaced."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial

import structlog

from stemcore.audio_decoder.facts import DecodeLimits
from stemcore.audio_decoder.process import DecoderBroken, DecoderProcess
from stemcore.audio_decoder.protections import Protection, require
from stemcore.audio_decoder.settings import SandboxSettings
from stemcore.tasks import to_its_end

_log = structlog.get_logger(__name__)

Start = asyncio.Task[DecoderProcess]


class DecoderPool:
    """Keeps `warm` processes loaded, confined and waiting."""

    def __init__(self, settings: SandboxSettings, *, limits: DecodeLimits) -> None:
        self._settings = settings
        self._limits = limits
        # One thread for all starts: a child dies with the thread that started it.
        self._starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="decoder-starter")
        self._starts: deque[Start] = deque()
        self._alive: set[DecoderProcess] = set()

    async def open(self) -> frozenset[Protection]:
        """Start the first processes; what protects them.

        Raises SandboxTooWeak, and DecoderBroken when none can be started.
        """
        self._starts.extend(self._begin() for _ in range(max(1, self._settings.warm)))
        process = await asyncio.shield(self._starts[0])
        return process.protections

    @asynccontextmanager
    async def process(self, *, fresh: bool = False) -> AsyncGenerator[DecoderProcess]:
        """A process that has seen no source yet, ended afterwards; `fresh` is not one that waited.

        Raises DecoderBroken.
        """
        process = await self._take(fresh=fresh)
        try:
            yield process
        finally:
            await to_its_end(self._end(process))

    async def close(self) -> None:
        """End all processes, those that are still starting too."""
        starts = list(self._starts)
        self._starts.clear()
        for process in tuple(self._alive):
            # Not closed: a start may be listening to it.
            await asyncio.to_thread(process.kill)
        for outcome in await asyncio.gather(*starts, return_exceptions=True):
            if isinstance(outcome, DecoderProcess):
                await self._end(outcome)
        self._starter.shutdown()

    async def _take(self, *, fresh: bool) -> DecoderProcess:
        start = self._begin() if fresh else await self._next()
        while len(self._starts) < self._settings.warm:
            self._starts.append(self._begin())
        try:
            return await asyncio.shield(start)
        except asyncio.CancelledError:
            self._starts.appendleft(start)
            raise

    async def _next(self) -> Start:
        """The oldest start that has not failed since; a process may die while it waits."""
        while self._starts:
            start = self._starts.popleft()
            if not start.done() or (start.exception() is None and start.result().is_alive):
                return start
            _log.warning("warm_decoder_lost", reason=str(start.exception() or "it died waiting"))
            if start.exception() is None:
                await to_its_end(self._end(start.result()))
        return self._begin()

    def _begin(self) -> Start:
        return asyncio.create_task(self._start(), name="start a decoder")

    async def _start(self) -> DecoderProcess:
        loop = asyncio.get_running_loop()
        try:
            process = await loop.run_in_executor(
                self._starter, partial(DecoderProcess, self._limits)
            )
        except OSError as error:
            raise DecoderBroken(str(error)) from error
        self._alive.add(process)
        try:
            await asyncio.to_thread(process.await_ready, timeout_s=self._settings.start_timeout_s)
            require(self._settings.require, held=process.protections)
        except BaseException:
            await self._end(process)
            raise
        return process

    async def _end(self, process: DecoderProcess) -> None:
        self._alive.discard(process)
        await asyncio.to_thread(process.close)
