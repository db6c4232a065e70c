"""A Triton that takes connections and says nothing, as a frozen one does."""

import asyncio
import socket
from collections.abc import Generator
from time import monotonic

import pytest

from stemcore.catalogue.triton import TritonCatalogue, TritonSettings, open_triton
from stemcore.errors import ErrorCode, Unavailable

TIMEOUT_S = 0.3
CALLERS = 40


@pytest.fixture
def frozen() -> Generator[str]:
    with socket.create_server(("127.0.0.1", 0)) as door:
        host, port = door.getsockname()
        yield f"{host}:{port}"


async def test_callers_do_not_queue_behind_a_frozen_server(frozen: str) -> None:
    """One after the other they would wait CALLERS times as long."""
    async with open_triton(TritonSettings(address=frozen)) as client:
        catalogue = TritonCatalogue(client, timeout_s=TIMEOUT_S)
        started_at = monotonic()
        answers = await asyncio.gather(
            *(catalogue.models() for _ in range(CALLERS)), return_exceptions=True
        )
        waited_s = monotonic() - started_at
    assert {type(answer) for answer in answers} == {Unavailable}
    assert {answer.code for answer in answers if isinstance(answer, Unavailable)} == {
        ErrorCode.ENGINE_UNAVAILABLE
    }
    assert waited_s < CALLERS * TIMEOUT_S / 3
