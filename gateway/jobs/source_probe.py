"""What a source is, told before the job is accepted."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from gateway.jobs.source_files import SourceFiles
from stemcore.audio_decoder import AudioDecoder, SourceFacts
from stemcore.errors import InvalidInput


class SourceProbe(Protocol):
    """Looks into a stored source."""

    async def facts(self, key: str) -> SourceFacts:
        """Facts with a provisional duration; raises InvalidInput when it is no usable audio."""
        ...


class DecoderProbe:
    """A SourceProbe that asks a decoder process.

    A few at a time: in a crowd each would be too slow for its own deadline, and a good file would
    be refused for our load.
    """

    def __init__(self, files: SourceFiles, *, decoder: AudioDecoder, at_a_time: int) -> None:
        self._files = files
        self._decoder = decoder
        self._slots = asyncio.Semaphore(at_a_time)

    async def facts(self, key: str) -> SourceFacts:
        """Facts from the headers, and proof that the beginning decodes."""
        async with self._slots, self._files.file(key) as path:
            return await self._decoder.probe(path)


class CountedProbe:
    """A SourceProbe that tells how each look ended: an error code, or `ok`."""

    def __init__(self, probe: SourceProbe, *, told: Callable[[str], None]) -> None:
        self._probe = probe
        self._told = told

    async def facts(self, key: str) -> SourceFacts:
        """What the other probe finds."""
        try:
            facts = await self._probe.facts(key)
        except InvalidInput as error:
            self._told(error.code.value)
            raise
        self._told("ok")
        return facts


class FixedProbe:
    """A SourceProbe that finds the same facts in everything."""

    def __init__(self, facts: SourceFacts) -> None:
        self._facts = facts

    async def facts(self, key: str) -> SourceFacts:  # noqa: ARG002
        """Those facts."""
        return self._facts
