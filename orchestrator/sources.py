"""Bring a job's source from the object store to scratch."""

import asyncio
import hashlib
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.claims import Claim
from stemcore.errors import ErrorCode, InvalidInput, Unavailable
from stemcore.scratch import scratch_errors
from stemcore.storage.port import ObjectMissing, ObjectStore, StorageError


async def fetch(store: ObjectStore, claim: Claim, path: Path) -> None:
    """Raises InvalidInput when the object is gone, and Unavailable when the store is away or gives
    another object than the one that was submitted."""
    digest, size_bytes = hashlib.sha256(), 0
    with storage_errors(), source_errors(), scratch_errors(), path.open("xb") as file:
        async for chunk in store.read(claim.source_key):
            size_bytes += len(chunk)
            if size_bytes > claim.source_bytes:
                break
            digest.update(chunk)
            await asyncio.to_thread(file.write, chunk)
    if size_bytes != claim.source_bytes or claim.source_sha256 not in (None, digest.hexdigest()):
        raise Unavailable(ErrorCode.SOURCE_DAMAGED, "The stored source is damaged.")


@contextmanager
def source_errors() -> Generator[None]:
    """A source that is gone will not come back."""
    try:
        yield
    except ObjectMissing as error:
        raise InvalidInput(ErrorCode.SOURCE_MISSING, "The stored source is gone.") from error


@contextmanager
def storage_errors() -> Generator[None]:
    """Translate the store's errors."""
    try:
        yield
    except (ObjectMissing, StorageError) as error:
        raise Unavailable(
            ErrorCode.STORAGE_UNAVAILABLE, "The object store does not give or take the object."
        ) from error
