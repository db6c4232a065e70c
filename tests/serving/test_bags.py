"""A bag at the real Triton: through the orchestrator's separator, and whole, as an ensemble."""

import asyncio
import json
import shutil
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio

from orchestrator.adapters.shared_transport import open_transport
from orchestrator.adapters.triton import TritonSeparator
from serving import admin
from serving.errors import ModelRefused
from serving.running import settings_of
from serving.settings import ServingSettings
from stemcore.catalogue.triton import TritonCatalogue, TritonSettings, open_triton
from stemcore.model_card import ModelCard
from stemyard.stack.waiting import until
from tests.serving.conftest import REQUEST_TIMEOUT_S, Audio, RunningServer, running_server
from tests.serving.small_bags import write_bag
from tests.serving.small_models import GAINS, SAMPLES, write_model

pytestmark = pytest.mark.asyncio(loop_scope="module")

PARTS = tuple(f"bag-{stem}" for stem in GAINS)


def mix(seed: int = 1) -> Audio:
    return np.random.default_rng(seed).standard_normal((1, 2, SAMPLES), dtype=np.float32)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[RunningServer]:
    root = tmp_path_factory.mktemp("stack")
    repository = root / "models"
    write_model(repository, "gains")
    write_bag(repository)
    write_bag(repository, "spoiled")
    with (repository / "spoiled-bass" / "1" / "model.onnx").open("ab") as file:
        file.write(b"\0")
    async with running_server(root / "runtime", repository) as running:
        yield running


async def executions(server: RunningServer) -> dict[str, int]:
    counts = [(await server.counts(part))[1] for part in PARTS]
    return dict(zip(PARTS, counts, strict=True))


async def grown(server: RunningServer, before: dict[str, int], *, parts: int) -> dict[str, int]:
    """Executions since `before`, of the parts that had any; when there are so many, or more."""

    async def counted() -> bool:
        return sum((await executions(server)).values()) >= sum(before.values()) + parts

    await until(counted, timeout_s=REQUEST_TIMEOUT_S)
    after = await executions(server)
    return {part: after[part] - before[part] for part in PARTS if after[part] > before[part]}


async def is_served(server: RunningServer, model: str) -> bool:
    ready: bool = await server.client.is_model_ready(model, client_timeout=REQUEST_TIMEOUT_S)
    return ready


def serving_settings(server: RunningServer) -> ServingSettings:
    """As the launcher of the running server left them."""
    return settings_of(server.runtime.serving)


async def separate(server: RunningServer, stems: Sequence[str]) -> tuple[ModelCard, Audio]:
    """What the orchestrator does with one window of a job for `stems` of the bag."""
    settings = TritonSettings(address=server.doors.grpc_address)
    async with open_triton(settings) as client, open_transport(client, settings) as transport:
        catalogue = TritonCatalogue(client, timeout_s=2.0)
        (card,) = [m.card for m in await catalogue.models() if m.card.name == "bag" and m.usable]
        separator = TritonSeparator(transport, catalogue, settings)
        return card, await separator.separate(mix()[0], card=card, stems=stems)


async def test_one_stem_of_a_bag_costs_one_of_its_models(server: RunningServer) -> None:
    before = await executions(server)
    card, (vocals,) = await separate(server, ["vocals"])
    assert card.stem_names == tuple(GAINS)
    np.testing.assert_array_equal(vocals, mix()[0] * np.float32(GAINS["vocals"]))
    assert await grown(server, before, parts=1) == {"bag-vocals": 1}


async def test_all_stems_of_a_bag_cost_each_of_its_models_once(server: RunningServer) -> None:
    before = await executions(server)
    _, stems = await separate(server, list(GAINS))
    gains = np.array(list(GAINS.values()), np.float32)[:, None, None]
    np.testing.assert_array_equal(stems, mix() * gains)
    assert await grown(server, before, parts=len(PARTS)) == dict.fromkeys(PARTS, 1)


async def test_any_client_of_triton_can_call_the_bag_whole(server: RunningServer) -> None:
    answer = await server.separate("bag", mix(), wanted=list(GAINS))
    for stem, gain in GAINS.items():
        np.testing.assert_array_equal(answer.as_numpy(stem), mix() * np.float32(gain))


async def test_the_ensemble_itself_runs_only_what_is_wanted(server: RunningServer) -> None:
    before = await executions(server)
    answer = await server.separate("bag", mix(), wanted=["drums"])
    np.testing.assert_array_equal(answer.as_numpy("drums"), mix() * np.float32(GAINS["drums"]))
    assert await grown(server, before, parts=1) == {"bag-drums": 1}


async def test_a_bag_with_a_spoiled_part_is_refused_and_no_other_model(
    server: RunningServer,
) -> None:
    assert not await is_served(server, "spoiled")
    assert not await is_served(server, "spoiled-bass")
    assert not await is_served(server, "spoiled-drums"), "its sound parts are of no use alone"
    for model in ("gains", "bag", *PARTS):
        assert await is_served(server, model)
    log = (server.runtime.logs / "triton.log").read_text()
    events = [json.loads(line) for line in log.splitlines() if line.startswith('{"')]
    (refused,) = [event for event in events if event["event"] == "model_refused"]
    assert (refused["model"], refused["reason"]) == ("spoiled", "part_refused")
    assert "spoiled-bass was refused, digest_differs" in refused["detail"]


async def test_a_bag_goes_and_comes_whole(server: RunningServer) -> None:
    settings = serving_settings(server)
    await asyncio.to_thread(admin.unload, "bag", settings)
    for model in ("bag", *PARTS):
        assert not await is_served(server, model)
    await asyncio.to_thread(admin.load, "bag", settings)
    for model in ("bag", *PARTS):
        assert await is_served(server, model)


async def test_a_bag_that_was_exported_again_is_exchanged_whole(
    server: RunningServer, tmp_path: Path
) -> None:
    settings = serving_settings(server)
    before = await asyncio.to_thread(admin.load, "bag", settings)
    louder = {stem: 2 * gain for stem, gain in GAINS.items()}
    write_bag(tmp_path, gains=louder)
    for model in ("bag", *PARTS):
        shutil.rmtree(settings.repository / model)
        shutil.copytree(tmp_path / model, settings.repository / model)
    after = await asyncio.to_thread(admin.load, "bag", settings)
    assert after != before
    answer = await server.separate("bag", mix(), wanted=list(louder))
    for stem, gain in louder.items():
        np.testing.assert_array_equal(answer.as_numpy(stem), mix() * np.float32(gain))


async def test_a_part_is_not_loaded_alone(server: RunningServer) -> None:
    with pytest.raises(ModelRefused, match="part of bag: load that"):
        await asyncio.to_thread(admin.load, "bag-drums", serving_settings(server))


async def test_the_launcher_may_be_told_one_bag_alone(tmp_path: Path) -> None:
    write_bag(tmp_path / "models")
    write_model(tmp_path / "models", "gains")
    async with running_server(tmp_path / "runtime", tmp_path / "models", models=("bag",)) as told:
        assert await is_served(told, "bag")
        assert not await is_served(told, "gains")
