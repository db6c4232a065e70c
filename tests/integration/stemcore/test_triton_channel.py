"""How requests reach servers of one name."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc.aio
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

from stemcore.catalogue.triton import TritonSettings, open_triton

REQUESTS = 20
TIMEOUT_S = 5.0


class CountingServer(service_pb2_grpc.GRPCInferenceServiceServicer):
    """Says that it is live, and how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    async def ServerLive(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        self.asked += 1
        return service_pb2.ServerLiveResponse(live=True)


@asynccontextmanager
async def serving(counting: CountingServer) -> AsyncGenerator[int]:
    server: Any = grpc.aio.server()
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(counting, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(grace=None)


async def ask(client: Any) -> None:
    assert await client.is_server_live(client_timeout=TIMEOUT_S)


async def test_requests_are_shared_out_among_the_servers_of_an_address() -> None:
    first, second = CountingServer(), CountingServer()
    async with serving(first) as one, serving(second) as other:
        settings = TritonSettings(address=f"ipv4:127.0.0.1:{one},127.0.0.1:{other}")
        async with open_triton(settings) as client:
            while not (first.asked and second.asked):
                await ask(client)
            first.asked = second.asked = 0
            for _ in range(REQUESTS):
                await ask(client)
    assert first.asked == second.asked == REQUESTS // 2


async def test_what_is_left_of_them_gets_all() -> None:
    first, second = CountingServer(), CountingServer()
    async with AsyncExitStack() as servers, serving(first) as one:
        other = await servers.enter_async_context(serving(second))
        settings = TritonSettings(address=f"ipv4:127.0.0.1:{one},127.0.0.1:{other}")
        async with open_triton(settings) as client:
            while not (first.asked and second.asked):
                await ask(client)
            await servers.aclose()
            first.asked = 0
            for _ in range(REQUESTS):
                await ask(client)
    assert first.asked == REQUESTS


async def test_a_single_name_is_a_single_server() -> None:
    only = CountingServer()
    async with (
        serving(only) as port,
        open_triton(TritonSettings(address=f"localhost:{port}")) as client,
    ):
        for _ in range(REQUESTS):
            await ask(client)
    assert only.asked == REQUESTS


async def test_nobody_there_is_told_at_once() -> None:
    async with open_triton(TritonSettings(address="127.0.0.1:1")) as client:
        with pytest.raises(InferenceServerException, match="UNAVAILABLE"):
            await ask(client)
