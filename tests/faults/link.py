"""A way to PostgreSQL that a test may close, or on which it may lose one answer."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.servers.streams import closed

CHUNK_BYTES = 1 << 16
SOCKET = ".s.PGSQL.5432"


class _Cut(Exception):
    """Both ends find their connection closed."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Passage:
    """One connection; `is_deaf` once the next answer must not arrive."""

    is_deaf: bool = False


@dataclass(kw_only=True)
class Link:
    """While closed, what is on its way waits, as behind a frozen server."""

    target: Path
    folder: Path
    _is_open: asyncio.Event = field(default_factory=asyncio.Event)
    _unanswered: bytes | None = None
    _unsent: bytes | None = None

    def close(self) -> None:
        self._is_open.clear()

    def open(self) -> None:
        self._is_open.set()

    def lose_answer_to(self, statement: bytes) -> None:
        """The server will have done it, and the client will not hear of it."""
        self._unanswered = statement

    def lose(self, statement: bytes) -> None:
        """It will never reach the server."""
        self._unsent = statement

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        beyond, back = await asyncio.open_unix_connection(self.target / SOCKET)
        passage = _Passage()
        try:
            with suppress(ExceptionGroup):
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._forth(reader, back, passage))
                    group.create_task(self._back(beyond, writer, passage))
        finally:
            await closed(writer, back)

    async def _forth(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, passage: _Passage
    ) -> None:
        while data := await reader.read(CHUNK_BYTES):
            await self._is_open.wait()
            if self._unsent is not None and self._unsent in data:
                self._unsent = None
                break
            if self._unanswered is not None and self._unanswered in data:
                self._unanswered = None
                passage.is_deaf = True
            writer.write(data)
            await writer.drain()
        raise _Cut

    async def _back(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, passage: _Passage
    ) -> None:
        while data := await reader.read(CHUNK_BYTES):
            await self._is_open.wait()
            if passage.is_deaf:
                break
            writer.write(data)
            await writer.drain()
        raise _Cut


@asynccontextmanager
async def link_to(target: Path, folder: Path) -> AsyncGenerator[Link]:
    """`folder` is where a client looks for the server's socket."""
    link = Link(target=target, folder=folder)
    link.open()
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(link.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_unix_server(accept, folder / SOCKET)
    try:
        yield link
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
