"""Models whose files are what their cards say, and which do not do what a model should."""

from collections.abc import AsyncGenerator

import numpy as np
import onnx
import pytest
import pytest_asyncio
from onnx import TensorProto, helper

from orchestrator.adapters.shared_transport import open_transport
from orchestrator.adapters.triton import TritonSeparator
from stemcore.catalogue.triton import TritonCatalogue, TritonSettings, open_triton
from stemcore.errors import ErrorCode, Unavailable
from stemcore.model_card import ModelCard
from stemyard.stack import triton as stack_triton
from tests.serving.conftest import REQUEST_TIMEOUT_S, Audio, RunningServer, running_server
from tests.serving.small_models import GAINS, SAMPLES, write_model

pytestmark = pytest.mark.asyncio(loop_scope="module")

STEM = "drums"


def one_node(node: onnx.NodeProto, **constants: float | list[int]) -> bytes:
    """A graph of one node from `mix` to STEM, of any length."""
    shape = ["batch", 2, "samples"]
    tensors = [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n in ("mix", STEM)]
    initializers = [
        onnx.numpy_helper.from_array(
            np.array(value, np.int64 if isinstance(value, list) else np.float32), name
        )
        for name, value in constants.items()
    ]
    graph = helper.make_graph([node], "bad", tensors[:1], tensors[1:], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


def no_numbers() -> bytes:
    return one_node(helper.make_node("Mul", ["mix", "factor"], [STEM]), factor=float("nan"))


def half_as_long() -> bytes:
    node = helper.make_node("Slice", ["mix", "start", "end", "axis"], [STEM])
    return one_node(node, start=[0], end=[SAMPLES // 2], axis=[2])


def another_output() -> bytes:
    model = onnx.ModelProto.FromString(no_numbers())
    model.graph.node[0].output[0] = model.graph.output[0].name = "cymbals"
    return model.SerializeToString()


BAD = {
    "no-numbers": no_numbers(),
    "half-as-long": half_as_long(),
    "another-output": another_output(),
    "no-model": b"not a model at all",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[RunningServer]:
    root = tmp_path_factory.mktemp("stack")
    write_model(root / "models", "gains")
    for name, content in BAD.items():
        write_model(root / "models", name, gains={STEM: 1.0}, content=content)
    async with running_server(root / "runtime", root / "models") as running:
        yield running
        assert running.process.starts == 1, "a bad model took the server down"


async def separate(server: RunningServer, model: str) -> Audio:
    """What the orchestrator does with one window for one stem."""
    settings = TritonSettings(address=server.doors.grpc_address)
    async with open_triton(settings) as client, open_transport(client, settings) as transport:
        catalogue = TritonCatalogue(client, timeout_s=2.0)
        separator = TritonSeparator(transport, catalogue, settings)
        card = await card_of(catalogue, model)
        return await separator.separate(mix(), card=card, stems=[STEM])


async def card_of(catalogue: TritonCatalogue, model: str) -> ModelCard:
    (card,) = [served.card for served in await catalogue.models() if served.card.name == model]
    return card


def mix() -> Audio:
    return np.random.default_rng(1).standard_normal((2, SAMPLES), dtype=np.float32)


async def a_good_one_still_answers(server: RunningServer) -> None:
    (drums,) = await separate(server, "gains")
    np.testing.assert_array_equal(drums, mix() * np.float32(GAINS[STEM]))


async def test_a_model_that_gives_another_shape_says_so_by_name(server: RunningServer) -> None:
    with pytest.raises(Unavailable, match=r"'half-as-long' gave .*export and verify it") as failure:
        await separate(server, "half-as-long")
    assert failure.value.code is ErrorCode.ENGINE_FAILED
    await a_good_one_still_answers(server)


async def test_a_model_that_gives_no_numbers_is_refused(server: RunningServer) -> None:
    with pytest.raises(Unavailable) as failure:
        await separate(server, "no-numbers")
    assert failure.value.code is ErrorCode.ENGINE_FAILED
    assert "output 'drums' holds values that are no numbers" in str(failure.value.__cause__)
    await a_good_one_still_answers(server)


@pytest.mark.parametrize(
    ("model", "reason"), [("another-output", "drums"), ("no-model", "Protobuf parsing failed")]
)
async def test_what_cannot_run_is_named_and_not_served(
    server: RunningServer, model: str, reason: str
) -> None:
    assert not await server.client.is_model_ready(model, client_timeout=REQUEST_TIMEOUT_S)
    told = stack_triton.refusals(server.runtime.logs / "triton.log")
    assert [line for line in told if f"failed to load '{model}'" in line and reason in line]
    await a_good_one_still_answers(server)
