"""How a stream is cut into blocks."""

from collections.abc import AsyncIterator

import pytest

from stemcore.storage.minio_upload import in_blocks


async def chunked(data: bytes, *, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


@pytest.mark.parametrize("chunk_bytes", [1, 3, 10, 11, 1000])
@pytest.mark.parametrize("total", [0, 1, 9, 10, 11, 20, 35])
async def test_blocks_are_full_but_for_the_last(total: int, chunk_bytes: int) -> None:
    data = bytes(range(total))
    blocks = [block async for block in in_blocks(chunked(data, size=chunk_bytes), block_bytes=10)]
    assert b"".join(blocks) == data
    assert [len(block) for block in blocks[:-1]] == [10] * (total // 10)
    assert len(blocks[-1]) == total % 10
