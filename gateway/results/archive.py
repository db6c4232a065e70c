"""All results of a job as one ZIP, stored not deflated, streamed, its length known beforehand."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from typing import Any

from anyio import from_thread
from starlette.concurrency import iterate_in_threadpool
from zipstream import ZIP_STORED, ZipStream

from stemcore.storage.port import ObjectStore


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveMember:
    """One file of the archive."""

    name: str
    key: str
    size_bytes: int


class Archive:
    """A ZIP over objects of a store."""

    def __init__(self, store: ObjectStore, members: Sequence[ArchiveMember]) -> None:
        self._store = store
        self._members = members

    @property
    def size_bytes(self) -> int:
        """The exact size of the ZIP, reckoned from the sizes of its members alone."""
        return len(self._zip(iter(()) for _ in self._members))

    async def chunks(self) -> AsyncGenerator[bytes]:
        """The ZIP; the library is synchronous, so it runs in threads that ask us for bytes."""
        async with AsyncExitStack() as stack:
            readers = [
                await stack.enter_async_context(aclosing(_generator(self._store.read(member.key))))
                for member in self._members
            ]
            archive: Iterable[bytes] = self._zip(_bridged(reader) for reader in readers)
            async for chunk in iterate_in_threadpool(archive):
                yield chunk

    def _zip(self, contents: Iterator[Iterator[bytes]]) -> Any:
        # The library is not annotated.
        archive: Any = ZipStream(compress_type=ZIP_STORED, sized=True)
        for member, content in zip(self._members, contents, strict=True):
            archive.add(content, member.name, size=member.size_bytes)
        return archive


async def _generator(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    async for chunk in chunks:
        yield chunk


def _bridged(chunks: AsyncIterator[bytes]) -> Iterator[bytes]:
    """An iterator for a worker thread over one of the event loop."""

    async def following() -> bytes | None:
        return await anext(chunks, None)

    while (chunk := from_thread.run(following)) is not None:
        yield chunk
