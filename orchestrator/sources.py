"""Bring a job's source from the object store to scratch."""

import asyncio
import hashlib
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.claims import Claim
from orchestrator.mix import scratch_errors
from stemcore.errors import ErrorCode, Unavailable
from stemcore.storage.port import ObjectMissing, ObjectStore, StorageError


async def fetch(store: ObjectStore, claim: Claim, path: Path) -> None:
    """Raises Unavailable when the object is away or is not the one that was submitted."""
    digest = hashlib.sha256()
    with storage_errors(), scratch_errors(), path.open("xb") as file:
        async for chunk in store.read(claim.source_key):
            digest.update(chunk)
            await asyncio.to_thread(file.write, chunk)
    if digest.hexdigest() != claim.source_sha256:
        raise Unavailable(ErrorCode.STORAGE_UNAVAILABLE, "The stored source is damaged.")


@contextmanager
def storage_errors() -> Generator[None]:
    """Translate the store's errors."""
    try:
        yield
    except (ObjectMissing, StorageError) as error:
        raise Unavailable(
            ErrorCode.STORAGE_UNAVAILABLE, "The object store does not give or take the object."
        ) from error
