"""Objects in a bucket of MinIO or of any other S3: the store of many machines."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import TypeVar

import structlog

from stemcore.storage.keys import key_parts
from stemcore.storage.minio_bucket import DELETED_AT_A_TIME, Bucket, BucketMissing, s3_errors
from stemcore.storage.minio_lifecycle import prepare
from stemcore.storage.minio_settings import S3Settings
from stemcore.storage.minio_upload import Upload, in_blocks, put_blocks
from stemcore.storage.port import StorageError, StoredObject
from stemcore.tasks import to_its_end

READ_BYTES = 4 << 20

T = TypeVar("T")

_log = structlog.get_logger(__name__)


class MinioStore:
    """An ObjectStore and Presigner over one bucket, which is made ready by the first call.

    Reading asks for one block after the other, so a reader that is slow, or goes, holds nothing.
    """

    def __init__(
        self, bucket: Bucket, settings: S3Settings, *, front: Bucket, threads: Executor
    ) -> None:
        self._bucket = bucket
        self._settings = settings
        self._front = front
        self._threads = threads
        self._ready = False
        self._preparing: asyncio.Task[None] | None = None

    async def put(self, key: str, chunks: AsyncIterable[bytes]) -> StoredObject:
        """Store the chunks under `key`, in parts when they are many; the server checks each hash.

        A cancellation before the last request leaves nothing; later it waits for the object.
        """
        key_parts(key)
        part_bytes = self._settings.part_bytes
        digest, size_bytes = hashlib.sha256(), 0

        async def counted() -> AsyncGenerator[bytes]:
            nonlocal size_bytes
            async for block in in_blocks(chunks, block_bytes=part_bytes):
                await asyncio.to_thread(digest.update, block)
                size_bytes += len(block)
                yield block

        async with aclosing(counted()) as blocks:
            upload = Upload(self._bucket, key, call=self._call)
            await put_blocks(upload, blocks, block_bytes=part_bytes)
        return StoredObject(key=key, size_bytes=size_bytes, sha256=digest.hexdigest())

    async def read(
        self, key: str, *, start: int = 0, stop: int | None = None
    ) -> AsyncIterator[bytes]:
        """The bytes [start, stop) in chunks, all of the same version of the object."""
        key_parts(key)
        if stop is not None and stop <= start:
            await self.size_bytes(key)
            return
        etag: str | None = None
        while stop is None or start < stop:
            upto = start + READ_BYTES if stop is None else min(start + READ_BYTES, stop)
            work = partial(self._bucket.block, key, start=start, stop=upto, etag=etag)
            block = await self._call(work, key=key)
            if block is None:
                return
            yield block.data
            start += len(block.data)
            etag = block.etag
            stop = min(stop or block.object_bytes, block.object_bytes)

    async def size_bytes(self, key: str) -> int:
        """The object's size."""
        key_parts(key)
        return await self._call(partial(self._bucket.size_bytes, key), key=key)

    async def delete_prefix(self, prefix: str) -> int:
        """Delete every object whose key starts with `prefix`, a batch at a time."""
        key_parts(prefix.rstrip("/"))
        deleted, batch = 0, DELETED_AT_A_TIME
        while batch == DELETED_AT_A_TIME:
            batch = await self._call(partial(self._bucket.delete_some, prefix), key=prefix)
            deleted += batch
        return deleted

    def presigned_url(
        self, key: str, *, content_disposition: str, content_type: str, expires_s: int
    ) -> str:
        """An address at the public endpoint; reckoned here, without asking the store."""
        key_parts(key)
        return self._front.presigned_get_object(
            self._front.name,
            key,
            expires=timedelta(seconds=expires_s),
            response_headers={
                "response-content-disposition": content_disposition,
                "response-content-type": content_type,
            },
        )

    async def _call(self, work: Callable[[], T], *, key: str) -> T:
        try:
            await self._prepared()
            return await self._in_thread(work, key=key)
        except BucketMissing:
            self._ready = False
            raise

    async def _prepared(self) -> None:
        """All who wait share one attempt, so that a silent store delays nobody twice."""
        if self._ready:
            return
        if self._preparing is None or self._preparing.done():
            self._preparing = asyncio.create_task(self._prepare(), name="prepare the bucket")
        await asyncio.shield(self._preparing)

    async def _prepare(self) -> None:
        try:
            await self._in_thread(partial(prepare, self._bucket, self._settings), key="")
        except StorageError as error:
            _log.warning("bucket_not_ready", bucket=self._bucket.name, reason=str(error))
            raise
        self._ready = True

    async def _in_thread(self, work: Callable[[], T], *, key: str) -> T:
        with s3_errors(key):
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)


@asynccontextmanager
async def open_minio(settings: S3Settings) -> AsyncGenerator[MinioStore]:
    """The store; it is not asked anything yet, so this succeeds while it is away."""
    bucket = Bucket(settings, endpoint=settings.endpoint)
    front = Bucket(settings, endpoint=settings.public_endpoint or settings.endpoint)
    threads = ThreadPoolExecutor(settings.connections, thread_name_prefix="object-store")
    try:
        yield MinioStore(bucket, settings, front=front, threads=threads)
    finally:
        await to_its_end(asyncio.to_thread(threads.shutdown, cancel_futures=True))
        bucket.close()
