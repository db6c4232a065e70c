"""Reading a submission's form into a sink, and what it came to."""

import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from time import monotonic

from gateway.jobs.form import Texts, read_form, within
from gateway.jobs.multipart import Part
from stemcore.storage.port import StoredObject

Sink = Callable[[AsyncIterator[bytes]], Awaitable[StoredObject]]
Check = Callable[[Texts], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedForm:
    """The plain fields of the form, and its file."""

    texts: Texts
    source_name: str
    source: StoredObject
    upload_s: float

    @property
    def digest(self) -> str:
        """Equal for equal forms, whatever the order of their fields."""
        content = [self.source_name, self.source.sha256, sorted(self.texts)]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()


async def receive(
    parts: AsyncIterator[Part], *, sink: Sink, check: Check, max_bytes: int
) -> ReceivedForm:
    """Pour the file into `sink`, after `check` has seen the fields that came before it."""
    began = monotonic()
    received: list[tuple[str, StoredObject]] = []

    async def take_file(name: str, chunks: AsyncIterator[bytes], so_far: Texts) -> None:
        await check(so_far)
        received.append((name, await sink(within(chunks, max_bytes=max_bytes))))

    texts = await read_form(parts, take_file)
    ((name, source),) = received
    return ReceivedForm(texts=texts, source_name=name, source=source, upload_s=monotonic() - began)


async def measured(chunks: AsyncIterator[bytes]) -> StoredObject:
    """A sink that keeps nothing but size and hash."""
    digest, size_bytes = hashlib.sha256(), 0
    async for chunk in chunks:
        digest.update(chunk)
        size_bytes += len(chunk)
    return StoredObject(key="", size_bytes=size_bytes, sha256=digest.hexdigest())


async def unchecked(_texts: Texts) -> None:
    """A check that lets everything pass."""
