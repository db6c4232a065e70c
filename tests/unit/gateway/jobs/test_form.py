import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.jobs.form import CHUNK_BYTES, LEAST_BYTES, source_name, unstalled, within
from stemcore.errors import ErrorCode, InvalidInput


async def chunks(*sizes: int) -> AsyncIterator[bytes]:
    for size in sizes:
        yield b"x" * size


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("song.mp3", "song.mp3"),
        ("Für Elise.flac", "Für Elise.flac"),
        ("/etc/passwd", "passwd"),
        ("C:\\Music\\song.wav", "song.wav"),
        ("../../song.wav", "song.wav"),
        ("a\x00b\r\n\u202ec.wav", "abc.wav"),
        ("half\ud800.wav", "half.wav"),
        ("..", "audio"),
        ("", "audio"),
        (None, "audio"),
        (".wav", "wav"),
        ("x" * 300 + ".wav", "x" * 196 + ".wav"),
        ("a." + "b" * 300, "a." + "b" * 19),
    ],
)
def test_a_source_has_a_name_fit_to_be_shown(given: str | None, kept: str) -> None:
    assert source_name(given) == kept


async def test_bytes_within_the_limit_pass_in_larger_chunks() -> None:
    sizes = [len(chunk) async for chunk in within(chunks(*[100_000] * 6), max_bytes=600_000)]
    assert sum(sizes) == 600_000
    assert all(size >= CHUNK_BYTES for size in sizes[:-1])


async def test_the_first_byte_too_many_is_refused() -> None:
    with pytest.raises(InvalidInput) as caught:
        async for _ in within(chunks(10, 10, 1), max_bytes=20):
            pass
    assert caught.value.code is ErrorCode.FILE_TOO_LARGE


async def test_an_upload_that_stalls_is_given_up() -> None:
    async def stalling() -> AsyncIterator[bytes]:
        yield b"begun"
        await asyncio.Event().wait()

    received = unstalled(stalling(), timeout_s=0.02)
    assert await anext(received) == b"begun"
    with pytest.raises(InvalidInput) as caught:
        await anext(received)
    assert caught.value.code is ErrorCode.REQUEST_TIMEOUT


async def test_an_upload_that_trickles_is_given_up() -> None:
    async def trickling() -> AsyncIterator[bytes]:
        while True:
            yield b"x"
            await asyncio.sleep(0.001)

    with pytest.raises(InvalidInput) as caught:
        async for _ in unstalled(trickling(), timeout_s=0.05):
            pass
    assert caught.value.code is ErrorCode.REQUEST_TIMEOUT


async def test_an_upload_that_flows_may_take_its_time() -> None:
    assert [chunk async for chunk in unstalled(chunks(3, 2), timeout_s=5)] == [b"xxx", b"xx"]


async def test_a_slow_taker_is_not_the_clients_fault() -> None:
    received = unstalled(chunks(*[LEAST_BYTES // 2] * 4), timeout_s=0.05)
    async for _ in received:
        await asyncio.sleep(0.06)
