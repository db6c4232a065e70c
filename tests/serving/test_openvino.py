"""The stand-in for Triton's openvino backend, in the real Triton, with models of some bytes."""

import asyncio
import json
from collections.abc import AsyncGenerator

import numpy as np
import pytest
import pytest_asyncio
from tritonclient.utils import InferenceServerException

from serving.settings import usable_cores
from stemcore.model_card import CARD_PARAMETER, ModelCard
from tests.serving.conftest import REQUEST_TIMEOUT_S, Audio, RunningServer, running_server
from tests.serving.evidence import FP32, evidence, prove
from tests.serving.small_models import GAINS, SAMPLES, write_model

pytestmark = pytest.mark.asyncio(loop_scope="module")


def mix(seed: int = 1, *, rows: int = 1) -> Audio:
    return np.random.default_rng(seed).standard_normal((rows, 2, SAMPLES), dtype=np.float32)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[RunningServer]:
    root = tmp_path_factory.mktemp("stack")
    repository = root / "models"
    write_model(repository, "gains")
    prove(write_model(repository, "proven"), evidence(*FP32))
    prove(write_model(repository, "twice", instances=2), evidence(*FP32))
    unreadable = write_model(repository, "unreadable")
    (unreadable / "1" / "model.onnx").write_bytes(b"no graph")
    prove(unreadable, evidence(*FP32))
    async with running_server(root / "runtime", repository) as running:
        yield running


async def served_card(server: RunningServer, model: str) -> tuple[str, ModelCard]:
    """The backend in the server's config, and the card that the services read there."""
    answer = await server.client.get_model_config(model, client_timeout=REQUEST_TIMEOUT_S)
    card = ModelCard.from_json(answer.config.parameters[CARD_PARAMETER].string_value)
    return answer.config.backend, card


async def test_a_proven_model_is_served_by_openvino_and_says_so(server: RunningServer) -> None:
    backend, card = await served_card(server, "proven")
    assert (backend, card.engine, card.precision) == ("openvino", *FP32)
    backend, card = await served_card(server, "gains")
    assert (backend, card.engine) == ("onnxruntime", "onnxruntime")


async def test_stems_are_computed_and_only_the_wanted_one_travels(server: RunningServer) -> None:
    answer = await server.separate("proven", mix(), wanted=["bass"])
    np.testing.assert_array_equal(answer.as_numpy("bass"), mix() * np.float32(GAINS["bass"]))
    assert answer.as_numpy("drums") is None


@pytest.mark.parametrize("model", ["proven", "twice"])
async def test_answers_of_concurrent_requests_are_not_mixed_up(
    server: RunningServer, model: str
) -> None:
    answers = await asyncio.gather(
        *(server.separate(model, mix(seed), wanted=["drums", "bass"]) for seed in range(8))
    )
    for seed, answer in enumerate(answers):
        for stem in ("drums", "bass"):
            expected = mix(seed) * np.float32(GAINS[stem])
            np.testing.assert_array_equal(answer.as_numpy(stem), expected)


async def test_no_client_is_ever_given_values_that_are_no_numbers(server: RunningServer) -> None:
    poisoned = mix()
    poisoned[0, 0, 7] = np.inf
    for model in ("proven", "gains"):
        with pytest.raises(InferenceServerException, match="no numbers"):
            await server.separate(model, poisoned, wanted=["bass"])
        answer = await server.separate(model, mix(), wanted=["bass"])
        assert np.isfinite(answer.as_numpy("bass")).all()


async def test_a_model_that_openvino_cannot_read_takes_no_other_down(server: RunningServer) -> None:
    ready = {
        model: await server.client.is_model_ready(model, client_timeout=REQUEST_TIMEOUT_S)
        for model in ("unreadable", "proven", "twice", "gains")
    }
    assert ready == {"unreadable": False, "proven": True, "twice": True, "gains": True}
    assert server.process.starts == 1


async def test_compiled_models_are_kept_on_the_node(server: RunningServer) -> None:
    assert list((server.runtime.serving / "compiled").glob("*.blob"))


async def test_the_log_names_engine_precision_and_the_share_of_the_machine(
    server: RunningServer,
) -> None:
    log = (server.runtime.logs / "triton.log").read_text()
    events = [json.loads(line) for line in log.splitlines() if line.startswith('{"')]
    verified = {event["model"]: event for event in events if event["event"] == "model_verified"}
    staged = {event["model"]: event for event in events if event["event"] == "model_staged"}
    for model, served in {"proven": FP32, "gains": ("onnxruntime", "fp32")}.items():
        assert (verified[model]["engine"], verified[model]["precision"]) == served
    for model, instances in {"proven": 1, "twice": 2}.items():
        assert staged[model]["instances"] == instances
        assert staged[model]["threads"] == max(1, usable_cores() // instances)
