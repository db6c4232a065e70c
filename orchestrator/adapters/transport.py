"""How a segment gets to the inference server and its stems come back."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import tritonclient.grpc.aio as triton
from numpy.typing import NDArray

from stemcore.errors import ErrorCode, Unavailable

Samples = NDArray[np.float32]

INPUT = "mix"
DTYPES = {"FP32": np.dtype(np.float32), "FP16": np.dtype(np.float16)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request: what the model gets, (channels, samples), and where its outputs go, by name."""

    model: str
    window: Samples
    targets: Mapping[str, Samples]
    headers: Mapping[str, str]


class Transport(Protocol):
    """A way of asking. Lets the client's errors through: they tell an outage from a failure."""

    async def infer(self, call: Call) -> None:
        """Fill the call's targets; only these outputs travel. Raises Unavailable for a wrong
        answer."""
        ...


class GrpcTransport:
    """All samples in the messages themselves."""

    def __init__(self, client: triton.InferenceServerClient, *, timeout_s: float) -> None:
        self._client: Any = client
        self._timeout_s = timeout_s

    async def infer(self, call: Call) -> None:
        """See Transport."""
        tensor: Any = triton.InferInput(INPUT, [1, *call.window.shape], "FP32")
        tensor.set_data_from_numpy(call.window[None])
        result = await self._client.infer(
            call.model,
            [tensor],
            outputs=[triton.InferRequestedOutput(name) for name in call.targets],
            client_timeout=self._timeout_s,
            headers=dict(call.headers) or None,
        )
        answer: Any = result.get_response()
        outputs = checked_outputs(call, answer)
        for output, data in zip(outputs, answer.raw_output_contents, strict=True):
            samples = np.frombuffer(data, DTYPES[output.datatype])
            target = call.targets[output.name]
            target[...] = samples.reshape(target.shape)


def checked_outputs(call: Call, answer: Any) -> list[Any]:
    """The answer's outputs in its order; raises Unavailable if they are not what was asked for."""
    found = {output.name: (output.datatype, list(output.shape)) for output in answer.outputs}
    for name, target in call.targets.items():
        datatype, shape = found.get(name, ("nothing", []))
        if datatype not in DTYPES or shape != [1, *target.shape]:
            raise Unavailable(
                ErrorCode.ENGINE_FAILED,
                f"The model {call.model!r} gave {datatype} {shape} as {name!r} instead of samples"
                f" {[1, *target.shape]}: export and verify it again.",
            )
    return list(answer.outputs)
