"""A TCP link to a server that a test may spoil, stop or cut."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

from tests.servers.streams import closed

Passage = Callable[[bytes], Awaitable[bytes]]

# Small, or the kernel would swallow whole parts before they are on their way.
BUFFER_BYTES = 1 << 16


class Cut(Exception):
    """Raised by a passage: both ends find their connection closed."""


async def unharmed(data: bytes) -> bytes:
    return data


async def withheld(data: bytes) -> bytes:
    return await asyncio.Event().wait() and data


async def cut(data: bytes) -> bytes:
    raise Cut


class FaultyLink:
    """What goes to the server passes through `requests`, what comes back through `answers`."""

    def __init__(self, target: str) -> None:
        address = urlsplit(target)
        self._host, self._port = address.hostname, address.port
        self.endpoint = ""
        self.requests: Passage = unharmed
        self.answers: Passage = unharmed
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        beyond, back = await asyncio.open_connection(self._host, self._port)
        try:
            with suppress(*_ENDS):
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._pump(reader, back, self._forth))
                    group.create_task(self._pump(beyond, writer, self._back))
        finally:
            await closed(writer, back)

    async def _forth(self, data: bytes) -> bytes:
        return await self.requests(data)

    async def _back(self, data: bytes) -> bytes:
        return await self.answers(data)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, passage: Passage
    ) -> None:
        while data := await reader.read(BUFFER_BYTES):
            writer.write(await passage(data))
            await writer.drain()
        raise Cut


# A task group wraps what ends it.
_ENDS = (ExceptionGroup, OSError)


@asynccontextmanager
async def faulty_link(target: str) -> AsyncGenerator[FaultyLink]:
    link = FaultyLink(target)
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(link.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    with socket.socket() as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        door.bind(("127.0.0.1", 0))
        server = await asyncio.start_server(accept, sock=door, limit=BUFFER_BYTES)
        link.endpoint = "http://{}:{}".format(*door.getsockname())
        try:
            yield link
        finally:
            server.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
