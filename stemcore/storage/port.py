"""Where sources and results are kept."""

from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from typing import Protocol


class ObjectMissing(Exception):
    """No object has that key."""


class StorageError(Exception):
    """The store is away or refuses; the call may be repeated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """What was stored under a key."""

    key: str
    size_bytes: int
    sha256: str


class ObjectStore(Protocol):
    """Immutable objects by key; keys are `/`-separated ASCII names without `.` parts.

    All raise StorageError when the store does not answer, and ValueError for what is no key.
    """

    async def put(self, key: str, chunks: AsyncIterable[bytes]) -> StoredObject:
        """Store the chunks under `key`: durable on return, never visible in part."""
        ...

    def read(self, key: str, *, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        """The bytes [start, stop) in chunks; raises ObjectMissing before the first chunk."""
        ...

    async def size_bytes(self, key: str) -> int:
        """The object's size; raises ObjectMissing."""
        ...

    async def delete_prefix(self, prefix: str) -> int:
        """Delete every object whose key starts with `prefix`; returns how many there were."""
        ...


class Presigner(Protocol):
    """Lets somebody without rights fetch one object straight from the store, for a while."""

    def presigned_url(
        self, key: str, *, content_disposition: str, content_type: str, expires_s: int
    ) -> str:
        """An address to GET the object from; the answer will carry the two headers."""
        ...
