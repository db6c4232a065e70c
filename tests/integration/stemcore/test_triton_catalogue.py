"""The catalogue of a real Triton: bags, readiness, and what it has measured."""

import asyncio
from collections.abc import AsyncGenerator

import numpy as np
import pytest
import pytest_asyncio

from serving import admin, launcher
from serving.admin import GRPC_ADMIN_HEADER
from serving.settings import ServingSettings
from stemcore.catalogue.guarded import GuardedCatalogue
from stemcore.catalogue.policy import ModelPolicy
from stemcore.catalogue.port import ServedModel
from stemcore.catalogue.triton import TritonCatalogue
from stemyard.stack.waiting import until
from tests.serving.conftest import Audio, RunningServer, running_server
from tests.serving.small_bags import write_bag
from tests.serving.small_models import GAINS, SAMPLES, write_model

ENOUGH_S = 30.0
TIMEOUT_S = 10.0

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[RunningServer]:
    root = tmp_path_factory.mktemp("catalogue")
    write_model(root / "models", "gains")
    write_model(root / "models", "comes-and-goes")
    write_bag(root / "models", "bag")
    async with running_server(root / "runtime", root / "models") as running:
        yield running


@pytest.fixture
def told(server: RunningServer) -> TritonCatalogue:
    return TritonCatalogue(server.client, timeout_s=TIMEOUT_S, fresh_s=0.0)


@pytest.fixture
def catalogue(told: TritonCatalogue) -> GuardedCatalogue:
    return GuardedCatalogue(told, ModelPolicy())


def mix() -> Audio:
    return np.ones((1, 2, SAMPLES), dtype=np.float32)


async def named(catalogue: GuardedCatalogue, name: str) -> ServedModel:
    (found,) = [model for model in await catalogue.models() if model.card.name == name]
    return found


def settings_of(server: RunningServer) -> ServingSettings:
    return ServingSettings.model_validate(
        {
            "repository": server.settings.repository,
            "runtime": server.runtime.serving,
            "ports": {"http": server.doors.http, "grpc": server.doors.grpc},
        }
    )


async def test_a_bag_is_one_model_and_its_parts_are_none(
    told: TritonCatalogue, catalogue: GuardedCatalogue
) -> None:
    parts = {f"bag-{stem}" for stem in GAINS}
    assert {model.card.name for model in await told.models()} > parts
    public = await catalogue.models()
    assert [model.card.name for model in public] == ["bag", "comes-and-goes", "gains"]
    assert all(model.usable for model in public)


async def test_the_server_tells_how_long_a_segment_took(
    server: RunningServer, catalogue: GuardedCatalogue
) -> None:
    """A bag's takes as long as its parts together, once all of them have computed one."""
    assert (await named(catalogue, "gains")).speed is None
    await server.separate("gains", mix(), wanted=["drums"])
    await server.separate("gains", mix(), wanted=["bass", "drums"])
    for stem in list(GAINS)[1:]:
        await server.separate(f"bag-{stem}", mix(), wanted=[stem])
    assert (await named(catalogue, "bag")).speed is None
    await server.separate(f"bag-{next(iter(GAINS))}", mix(), wanted=list(GAINS)[:1])

    # Triton counts a request after it has answered it.
    async def counted() -> bool:
        models = [await named(catalogue, name) for name in ("gains", "bag")]
        return [model.speed.segments for model in models if model.speed] == [2, 1]

    await until(counted, timeout_s=ENOUGH_S)
    gains = await named(catalogue, "gains")
    assert gains.speed is not None
    assert 0 < gains.speed.seconds_per_segment < ENOUGH_S
    hop_s = int(0.75 * SAMPLES) / 44_100
    assert gains.times_real_time == pytest.approx(hop_s / gains.speed.seconds_per_segment)


async def test_a_model_that_is_unloaded_leaves_the_others_where_they_are(
    server: RunningServer, told: TritonCatalogue, catalogue: GuardedCatalogue
) -> None:
    """Asked again and again meanwhile, the catalogue answers every time."""
    settings = settings_of(server)
    looking = True

    async def look() -> set[str]:
        seen: set[str] = set()
        while looking:
            seen |= {model.card.name for model in await catalogue.models()}
            assert (await named(catalogue, "gains")).usable
        return seen

    looks = asyncio.create_task(look())
    for _ in range(3):
        await asyncio.to_thread(admin.unload, "comes-and-goes", settings)
        await asyncio.to_thread(admin.load, "comes-and-goes", settings)
    looking = False
    # Between its coming and its going nobody need have looked.
    assert await looks | {"comes-and-goes"} == {"bag", "comes-and-goes", "gains"}
    assert (await named(catalogue, "comes-and-goes")).usable
    assert len(await told.models()) == 3 + len(GAINS)


async def test_a_bag_without_one_of_its_parts_is_not_offered(
    server: RunningServer, catalogue: GuardedCatalogue
) -> None:
    """The server takes the ensemble away with it."""
    settings = settings_of(server)
    headers = {GRPC_ADMIN_HEADER: launcher.admin_secret(settings)}
    await server.client.unload_model("bag-drums", headers=headers, client_timeout=TIMEOUT_S)

    async def is_gone() -> bool:
        return "bag" not in {model.card.name for model in await catalogue.models() if model.usable}

    await until(is_gone, timeout_s=ENOUGH_S)
    assert (await named(catalogue, "gains")).usable
    await asyncio.to_thread(admin.load, "bag", settings)
    assert (await named(catalogue, "bag")).usable
