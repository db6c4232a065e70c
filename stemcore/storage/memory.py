"""Objects in a dictionary, for tests; held to the same contract as the real stores."""

import hashlib
from collections.abc import AsyncIterable, AsyncIterator

from stemcore.storage.keys import key_parts
from stemcore.storage.port import ObjectMissing, StoredObject

CHUNK_BYTES = 1 << 20


class MemoryStore:
    """An ObjectStore that forgets."""

    def __init__(self) -> None:
        self._objects: dict[str, bytes] = {}

    async def put(self, key: str, chunks: AsyncIterable[bytes]) -> StoredObject:
        """Store the chunks under `key`."""
        key_parts(key)
        data = b"".join([chunk async for chunk in chunks])
        self._objects[key] = data
        return StoredObject(key=key, size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())

    async def read(
        self, key: str, *, start: int = 0, stop: int | None = None
    ) -> AsyncIterator[bytes]:
        """The bytes [start, stop) in chunks."""
        data = self._get(key)[start:stop]
        for offset in range(0, len(data), CHUNK_BYTES):
            yield data[offset : offset + CHUNK_BYTES]

    async def size_bytes(self, key: str) -> int:
        """The object's size."""
        return len(self._get(key))

    async def delete_prefix(self, prefix: str) -> int:
        """Delete every object whose key starts with `prefix`."""
        key_parts(prefix.rstrip("/"))
        doomed = [key for key in self._objects if key.startswith(prefix)]
        for key in doomed:
            del self._objects[key]
        return len(doomed)

    def _get(self, key: str) -> bytes:
        key_parts(key)
        if key not in self._objects:
            raise ObjectMissing(key)
        return self._objects[key]
