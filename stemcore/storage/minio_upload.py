"""Uploads in parts: two parts in memory at most, and nothing left of what breaks off."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Coroutine
from functools import partial
from typing import Any, Protocol, TypeVar

import structlog

from stemcore.storage.minio_bucket import Bucket
from stemcore.storage.port import StorageError
from stemcore.tasks import to_its_end

T = TypeVar("T")

_log = structlog.get_logger(__name__)


class Call(Protocol):
    """Runs blocking work in a thread."""

    def __call__(self, work: Callable[[], T], *, key: str) -> Coroutine[Any, Any, T]:
        """What the work returns; raises ObjectMissing and StorageError."""
        ...


async def in_blocks(chunks: AsyncIterable[bytes], *, block_bytes: int) -> AsyncGenerator[bytes]:
    """Blocks of exactly `block_bytes`, and one that is shorter, perhaps empty, at the end."""
    gathered = bytearray()
    async for chunk in chunks:
        gathered += chunk
        while len(gathered) >= block_bytes:
            with memoryview(gathered) as view, view[:block_bytes] as block:
                full = bytes(block)
            del gathered[:block_bytes]
            yield full
    yield bytes(gathered)


class Upload:
    """One object on its way, in one request or in parts; a part is sent while the next is
    gathered."""

    def __init__(self, bucket: Bucket, key: str, *, call: Call) -> None:
        self._bucket = bucket
        self._key = key
        self._call = call
        self._id: str | None = None
        self._etags: list[str] = []
        self._sending: asyncio.Task[str] | None = None

    async def send(self, block: bytes) -> None:
        """Start sending the next part, when the one before has arrived."""
        if self._id is None:
            # To its end, or nobody would know what to abort.
            await to_its_end(self._begin())
        await self._arrived()
        work = partial(
            self._bucket.put_part,
            self._key,
            block,
            upload_id=self._begun,
            number=len(self._etags) + 1,
        )
        self._sending = asyncio.create_task(
            self._call(work, key=self._key), name=f"upload {self._key}"
        )

    async def finish(self, last: bytes) -> None:
        """Send the rest, and show the object whole and durable."""
        if self._id is None:
            work = partial(self._bucket.put_whole, self._key, last)
        else:
            if last:
                await self.send(last)
            await self._arrived()
            work = partial(
                self._bucket.complete_upload, self._key, upload_id=self._id, etags=self._etags
            )
        await to_its_end(self._call(work, key=self._key))

    async def abort(self) -> None:
        """Leave nothing, as far as the store can be reached; its lifecycle does the rest."""
        if self._sending is not None:
            # A part that arrives after the abort would stay.
            await asyncio.wait({self._sending})
        if self._id is None:
            return
        work = partial(self._bucket.abort_upload, self._key, upload_id=self._id)
        try:
            await self._call(work, key=self._key)
        except StorageError as error:
            _log.warning("upload_not_aborted", key=self._key, reason=str(error))

    async def _begin(self) -> None:
        self._id = await self._call(partial(self._bucket.begin_upload, self._key), key=self._key)

    async def _arrived(self) -> None:
        if self._sending is not None:
            self._etags.append(await asyncio.shield(self._sending))
            self._sending = None

    @property
    def _begun(self) -> str:
        if self._id is None:
            raise RuntimeError("the upload has not begun")
        return self._id


async def put_blocks(upload: Upload, blocks: AsyncGenerator[bytes], *, block_bytes: int) -> None:
    """What `in_blocks` gives as one object, or nothing."""
    try:
        async for block in blocks:
            if len(block) == block_bytes:
                await upload.send(block)
            else:
                await upload.finish(block)
    except BaseException:
        await to_its_end(upload.abort())
        raise
