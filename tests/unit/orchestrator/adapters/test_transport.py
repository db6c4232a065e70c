from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import structlog
from tritonclient.grpc import InferResult, service_pb2
from tritonclient.utils import InferenceServerException

from orchestrator.adapters.shared_transport import FallingBackTransport, SharedMemoryTransport
from orchestrator.adapters.transport import Call, GrpcTransport
from stemcore.errors import ErrorCode, Unavailable

SHAPE = (2, 16)
MIX = np.linspace(-1, 1, 32, dtype=np.float32).reshape(SHAPE)


class AnsweringClient:
    """A client of a server that gives these arrays, and lets nobody share its memory."""

    def __init__(self, answers: Mapping[str, np.ndarray]) -> None:
        self._answers = answers
        self.calls: list[list[str]] = []

    async def infer(self, _model: str, _inputs: Any, *, outputs: Any, **_: Any) -> InferResult:
        self.calls.append([output.name() for output in outputs])
        message: Any = service_pb2.ModelInferResponse()
        for name, array in self._answers.items():
            datatype = {"float32": "FP32", "float16": "FP16", "int32": "INT32"}[array.dtype.name]
            message.outputs.add(name=name, datatype=datatype, shape=array.shape)
            message.raw_output_contents.append(array.tobytes())
        return InferResult(message)

    async def is_server_live(self, **_: Any) -> bool:
        return True

    async def register_system_shared_memory(self, *_: Any, **__: Any) -> None:
        raise InferenceServerException("not for you", status="StatusCode.UNAVAILABLE")

    async def get_system_shared_memory_status(self, **_: Any) -> Any:
        raise InferenceServerException("not for you", status="StatusCode.UNAVAILABLE")

    async def unregister_system_shared_memory(self, *_: Any, **__: Any) -> None:
        raise InferenceServerException("not for you", status="StatusCode.UNAVAILABLE")


def call(*names: str) -> Call:
    targets = {name: np.full(SHAPE, np.nan, dtype=np.float32) for name in names}
    return Call(model="some", window=MIX, targets=targets, headers={})


def over_grpc(client: AnsweringClient) -> GrpcTransport:
    return GrpcTransport(client, timeout_s=1.0)  # type: ignore[arg-type]


def over_shared_memory(client: AnsweringClient) -> SharedMemoryTransport:
    return SharedMemoryTransport(
        client,  # type: ignore[arg-type]
        timeout_s=1.0,
        metadata_timeout_s=1.0,
        secret=None,
    )


async def test_outputs_go_to_their_targets_in_whatever_order_they_come() -> None:
    client = AnsweringClient({"bass": MIX[None] * 2, "drums": MIX[None] * 3})
    asked = call("drums", "bass")
    await over_grpc(client).infer(asked)
    assert client.calls == [["drums", "bass"]]
    assert np.array_equal(asked.targets["drums"], MIX * 3)
    assert np.array_equal(asked.targets["bass"], MIX * 2)


async def test_half_precision_becomes_float32() -> None:
    half = MIX.astype(np.float16)
    asked = call("drums")
    await over_grpc(AnsweringClient({"drums": half[None]})).infer(asked)
    assert np.array_equal(asked.targets["drums"], half.astype(np.float32))


@pytest.mark.parametrize(
    "answers",
    [
        {},
        {"drums": MIX},
        {"drums": MIX[None, :, :-1]},
        {"drums": np.zeros((1, *SHAPE), dtype=np.int32)},
    ],
    ids=["missing", "no batch", "too short", "integers"],
)
async def test_a_wrong_answer_names_model_output_and_remedy(answers: dict[str, Any]) -> None:
    with pytest.raises(Unavailable, match=r"'some'.*'drums'.*verify it again") as failure:
        await over_grpc(AnsweringClient(answers)).infer(call("drums"))
    assert failure.value.code is ErrorCode.ENGINE_FAILED


async def test_a_refusal_is_told_once_and_messages_are_used_from_then_on() -> None:
    client = AnsweringClient({"drums": MIX[None]})
    transport = FallingBackTransport(over_shared_memory(client), over_grpc(client))
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            asked = call("drums")
            await transport.infer(asked)
            assert np.array_equal(asked.targets["drums"], MIX)
    assert [log["event"] for log in logs] == ["shared_memory_refused"]
    assert len(client.calls) == 3


class OneOfSeveral(AnsweringClient):
    """A client whose requests go to another server than its registrations."""

    async def register_system_shared_memory(self, *_: Any, **__: Any) -> None: ...

    async def infer(self, model: str, inputs: Any, *, outputs: Any, **options: Any) -> InferResult:
        region: str = inputs[0]._get_tensor().parameters["shared_memory_region"].string_param
        if not region:
            return await super().infer(model, inputs, outputs=outputs, **options)
        raise InferenceServerException(
            f"Unable to find shared memory region: '{region}'", status="StatusCode.NOT_FOUND"
        )


async def test_several_servers_behind_one_address_share_no_memory() -> None:
    client = OneOfSeveral({"drums": MIX[None]})
    asked = call("drums")
    await FallingBackTransport(over_shared_memory(client), over_grpc(client)).infer(asked)
    assert np.array_equal(asked.targets["drums"], MIX)
    with pytest.raises(Unavailable, match="another server"):
        await over_shared_memory(client).infer(asked)


async def test_without_a_way_back_a_refusal_is_an_engine_that_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="not for you") as failure:
        await over_shared_memory(AnsweringClient({})).infer(call("drums"))
    assert failure.value.code is ErrorCode.ENGINE_UNAVAILABLE
