"""What travels between us and the real Triton, and what is left behind."""

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
import structlog
from numpy.typing import NDArray
from pydantic import SecretStr

from bench import waiting_server
from orchestrator.adapters.shared_regions import PREFIX, SHARED_MEMORY, SharedRegion
from orchestrator.adapters.shared_transport import SECRET_HEADER, open_transport
from orchestrator.adapters.triton import TritonSeparator
from stemcore.catalogue.triton import TritonCatalogue, TritonSettings, open_triton
from stemcore.errors import ErrorCode, Unavailable
from stemcore.model_card import ModelCard, StemSource
from stemyard.stack import triton as stack_triton
from stemyard.stack.ports import FreePorts
from stemyard.stack.runtime import locked
from stemyard.stack.settings import StackSettings
from stemyard.stack.supervisor import supervisor
from stemyard.stack.triton import TritonDoors
from stemyard.stack.waiting import until
from tests.integration.orchestrator.cards import GAINS, SEGMENT_SAMPLES
from tests.integration.orchestrator.models import write_gain_model

pytestmark = pytest.mark.asyncio(loop_scope="module")

Samples = NDArray[np.float32]

DELAY_S = 0.4
STEM_BYTES = 2 * SEGMENT_SAMPLES * 4


@dataclass(slots=True)
class CountingClient:
    """A client that counts what it sends and gets."""

    client: Any
    models: list[str] = field(default_factory=list[str])
    answered_bytes: int = 0

    async def infer(self, model: str, *arguments: Any, **options: Any) -> Any:
        result = await self.client.infer(model, *arguments, **options)
        self.models.append(model)
        self.answered_bytes += result.get_response().ByteSize()
        return result

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """The real Triton, with models that multiply at once and one that waits."""

    settings: TritonSettings
    client: Any
    catalogue: TritonCatalogue
    cards: dict[str, ModelCard]

    @asynccontextmanager
    async def separator(self, **changes: Any) -> AsyncGenerator[tuple[TritonSeparator, Any]]:
        settings = self.settings.model_copy(update=changes)
        client: Any = CountingClient(self.client)
        async with open_transport(client, settings) as transport:
            yield TritonSeparator(transport, self.catalogue, settings), client

    @property
    def headers(self) -> dict[str, str]:
        secret = self.settings.shared_memory_secret
        assert secret is not None
        return {SECRET_HEADER: secret.get_secret_value()}

    async def regions(self) -> set[str]:
        """Registered by clients."""
        status = await self.client.get_system_shared_memory_status(headers=self.headers)
        return set(status.regions)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Server]:
    root = tmp_path_factory.mktemp("triton")
    repository = root / "models"
    cards = [write_gain_model(repository, name) for name in ("gains", "more-gains")]
    cards.append(write_gain_model(repository, "half-gains", half_outputs=True))
    cards.append(waiting_server.write_model(repository, delay_s=DELAY_S, instances=1))
    doors = TritonDoors.choose(FreePorts())
    settings = TritonSettings(
        address=doors.grpc_address,
        transport="shm",
        shared_memory_secret=SecretStr(doors.shared_memory_secret),
    )
    stack = StackSettings(
        repository=repository, default_model="gains", serving_module="bench.waiting_server"
    )
    with locked(root / "runtime") as runtime:
        async with supervisor() as processes, open_triton(settings) as client:
            await processes.start(stack_triton.plan(doors, runtime, stack)).ready()
            yield Server(
                settings=settings,
                client=client,
                catalogue=TritonCatalogue(client, timeout_s=2.0),
                cards={card.name: card for card in cards},
            )


def window(seed: int = 1, *, samples: int = SEGMENT_SAMPLES) -> Samples:
    return np.random.default_rng(seed).standard_normal((2, samples), dtype=np.float32)


async def test_only_the_outputs_asked_for_travel(server: Server) -> None:
    card = server.cards["gains"]
    async with server.separator(transport="grpc") as (separator, client):
        await separator.separate(window(), card=card, stems=("bass",))
        one = client.answered_bytes
        await separator.separate(window(), card=card, stems=("bass", "drums"))
        two = client.answered_bytes - one
    assert STEM_BYTES <= one < STEM_BYTES + 1_000
    assert 2 * STEM_BYTES <= two < 2 * STEM_BYTES + 1_000


async def test_messages_hold_no_samples_when_memory_is_shared(server: Server) -> None:
    async with server.separator() as (separator, client):
        await separator.separate(window(), card=server.cards["gains"], stems=tuple(GAINS))
    assert client.answered_bytes < 1_000


@pytest.mark.parametrize("transport", ["grpc", "shm"])
async def test_of_a_bag_only_the_models_of_the_wanted_stems_are_asked(
    server: Server, transport: str
) -> None:
    card = server.cards["gains"]
    drums, *others = card.stems
    moved = StemSource(stem=drums.stem, model="more-gains", output=drums.output)
    bag = replace(card, stems=(moved, *others))
    async with server.separator(transport=transport) as (separator, client):
        await separator.separate(window(), card=bag, stems=("other", "bass"))
        assert client.models == ["gains"]
        answer = await separator.separate(window(), card=bag, stems=("bass", "drums"))
        assert client.models == ["gains", "gains", "more-gains"]
    for stem, samples in zip(("bass", "drums"), answer, strict=True):
        assert np.array_equal(samples, window() * np.float32(GAINS[stem]))


@pytest.mark.parametrize(("transport", "travelled"), [("grpc", STEM_BYTES), ("shm", 0)])
async def test_half_precision_travels_as_such_and_comes_back_as_float32(
    server: Server, transport: str, travelled: int
) -> None:
    card = server.cards["half-gains"]
    async with server.separator(transport=transport) as (separator, client):
        answer = await separator.separate(window(), card=card, stems=("other", "drums"))
    assert travelled <= client.answered_bytes < travelled + 1_000
    assert answer.dtype == np.float32
    for stem, samples in zip(("other", "drums"), answer, strict=True):
        rounded = (window() * np.float32(GAINS[stem])).astype(np.float16)
        assert np.array_equal(samples, rounded.astype(np.float32))


async def test_memory_is_registered_once_and_used_again(server: Server) -> None:
    async with server.separator() as (separator, _):
        # Of an earlier test's calls that were given up, until the server has let go of them.
        others, seen = await server.regions(), set[str]()
        for seed in range(4):
            mixes = [window(10 * seed + number) for number in range(2)]
            card = server.cards["gains"]
            answers = await asyncio.gather(
                *(separator.separate(mix, card=card, stems=("bass",)) for mix in mixes)
            )
            for mix, answer in zip(mixes, answers, strict=True):
                assert np.array_equal(answer[0], mix * np.float32(GAINS["bass"]))
            seen |= await server.regions()
    assert len(seen - others) == 2


async def test_a_larger_model_gets_a_larger_region(server: Server) -> None:
    async with server.separator() as (separator, _):
        await separator.separate(window(), card=server.cards["gains"], stems=("bass",))
        large = window(2, samples=waiting_server.SEGMENT_SAMPLES)
        answer = await separator.separate(large, card=server.cards["waiting"], stems=("vocals",))
        assert np.array_equal(answer[0], large)
        await separator.separate(window(), card=server.cards["gains"], stems=("bass",))
        assert len(await server.regions()) == 1


async def test_nothing_is_left_at_the_end(server: Server) -> None:
    async with server.separator() as (separator, _):
        await separator.separate(window(), card=server.cards["gains"], stems=("bass",))
        names = await server.regions()
        assert all((SHARED_MEMORY / name).exists() for name in names)
    assert await server.regions() == set()
    assert not any((SHARED_MEMORY / name).exists() for name in names)


async def test_what_dead_clients_left_registered_is_withdrawn(server: Server) -> None:
    dead, alive = SharedRegion.make(4096), SharedRegion.make(4096)
    for region in (dead, alive):
        await server.client.register_system_shared_memory(
            region.name, region.name, region.size_bytes, headers=server.headers
        )
    dead.close()
    async with server.separator() as (separator, _):
        for _ in range(2):
            await separator.separate(window(), card=server.cards["gains"], stems=("bass",))
        assert dead.name not in await server.regions()
        assert alive.name in await server.regions()
    await server.client.unregister_system_shared_memory(alive.name, headers=server.headers)
    alive.close()


async def test_memory_of_an_abandoned_call_is_never_used_again(server: Server) -> None:
    card = server.cards["waiting"]
    first, second = (window(seed, samples=waiting_server.SEGMENT_SAMPLES) for seed in (1, 2))
    async with server.separator() as (separator, _):
        task = asyncio.create_task(separator.separate(first, card=card, stems=("vocals",)))

        async def is_registered() -> bool:
            return bool(await server.regions())

        await until(is_registered, timeout_s=10.0)
        (abandoned,) = await server.regions()
        # Half-way: the server would write the first answer while the second is awaited.
        await asyncio.wait([task], timeout=DELAY_S / 2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        answer = await separator.separate(second, card=card, stems=("vocals",))
        assert np.array_equal(answer[0], second)
        await separator.separate(second, card=card, stems=("vocals",))
        assert abandoned not in await server.regions()
        assert not (SHARED_MEMORY / abandoned).exists()


async def test_who_does_not_hold_the_secret_sends_messages(server: Server) -> None:
    card, wrong = server.cards["gains"], SecretStr("wrong")
    with structlog.testing.capture_logs() as logs:
        async with server.separator(transport="auto", shared_memory_secret=wrong) as (asked, _):
            for _ in range(2):
                answer = await asked.separate(window(), card=card, stems=("bass",))
                assert np.array_equal(answer[0], window() * np.float32(GAINS["bass"]))
    assert [log["event"] for log in logs] == ["shared_memory_refused"]
    async with server.separator(shared_memory_secret=wrong) as (asked, _):
        with pytest.raises(Unavailable, match="restricted") as failure:
            await asked.separate(window(), card=card, stems=("bass",))
    assert failure.value.code is ErrorCode.ENGINE_UNAVAILABLE
    assert not list(SHARED_MEMORY.glob(f"{PREFIX}{os.getpid()}-*"))


async def test_without_a_secret_it_is_the_same(server: Server) -> None:
    async with server.separator(transport="auto", shared_memory_secret=None) as (asked, client):
        await asked.separate(window(), card=server.cards["gains"], stems=("bass",))
    assert client.answered_bytes > STEM_BYTES
