"""Bringing a source to scratch: what is gone, damaged or away."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.claims import Claim
from orchestrator.sources import fetch
from stemcore.errors import ErrorCode, InvalidInput, Unavailable
from stemcore.ids import new_id
from stemcore.storage.memory import MemoryStore
from stemcore.storage.port import StorageError

SONG = b"a song" * 1000


def claim_of(**facts: Any) -> Claim:
    told = {
        "source_bytes": len(SONG),
        "source_sha256": hashlib.sha256(SONG).hexdigest(),
    } | facts
    return Claim(
        job_id=new_id(),
        account_id=new_id(),
        kind="separation",
        priority=0,
        parameters={},
        source_key="sources/1/original",
        lease_token=1,
        claims=1,
        queue_s=0.0,
        ledger={},
        **told,
    )


async def once(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def store_with(data: bytes) -> MemoryStore:
    store = MemoryStore()
    await store.put("sources/1/original", once(data))
    return store


@pytest.mark.parametrize("facts", [{}, {"source_sha256": None}])
async def test_the_source_comes_as_it_was_submitted(tmp_path: Path, facts: dict[str, Any]) -> None:
    await fetch(await store_with(SONG), claim_of(**facts), tmp_path / "source")
    assert (tmp_path / "source").read_bytes() == SONG


async def test_a_source_that_is_gone_is_never_asked_for_again(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as raised:
        await fetch(MemoryStore(), claim_of(), tmp_path / "source")
    assert raised.value.code is ErrorCode.SOURCE_MISSING


@pytest.mark.parametrize(
    ("data", "facts"),
    [
        (SONG[:-1] + b"!", {}),
        (SONG[:-1], {"source_sha256": None}),
        (SONG + b"!", {"source_sha256": None}),
    ],
)
async def test_another_source_than_the_submitted_one_is_not_separated(
    tmp_path: Path, data: bytes, facts: dict[str, Any]
) -> None:
    with pytest.raises(Unavailable) as raised:
        await fetch(await store_with(data), claim_of(**facts), tmp_path / "source")
    assert raised.value.code is ErrorCode.SOURCE_DAMAGED


class BreakingStore(MemoryStore):
    """Breaks off after the first half."""

    async def read(
        self, key: str, *, start: int = 0, stop: int | None = None
    ) -> AsyncIterator[bytes]:
        async for chunk in super().read(key, start=start, stop=stop):
            yield chunk[: len(chunk) // 2]
        raise StorageError("the connection broke")


async def test_a_store_that_breaks_off_is_asked_again_later(tmp_path: Path) -> None:
    store = BreakingStore()
    await store.put("sources/1/original", once(SONG))
    with pytest.raises(Unavailable) as raised:
        await fetch(store, claim_of(), tmp_path / "source")
    assert raised.value.code is ErrorCode.STORAGE_UNAVAILABLE
