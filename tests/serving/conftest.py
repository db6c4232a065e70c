from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tritonclient.grpc as triton_sync
import tritonclient.grpc.aio as triton

from stemyard.stack import triton as stack_triton
from stemyard.stack.ports import FreePorts
from stemyard.stack.process import SupervisedProcess
from stemyard.stack.runtime import RuntimeDirectory, locked
from stemyard.stack.settings import StackSettings
from stemyard.stack.supervisor import supervisor
from stemyard.stack.triton import TritonDoors
from stemyard.stack.waiting import until

REQUEST_TIMEOUT_S = 20.0

Audio = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningServer:
    """The real Triton, as the stack runs it, and a client of it."""

    doors: TritonDoors
    process: SupervisedProcess
    client: Any
    runtime: RuntimeDirectory
    settings: StackSettings

    async def separate(self, model: str, mix: Audio, *, wanted: Sequence[str]) -> Any:
        """`mix` is (batch, channels, samples)."""
        tensor = triton_sync.InferInput("mix", mix.shape, "FP32")
        tensor.set_data_from_numpy(mix)
        return await self.client.infer(
            model,
            [tensor],
            outputs=[triton_sync.InferRequestedOutput(stem) for stem in wanted],
            client_timeout=REQUEST_TIMEOUT_S,
        )

    async def counts(self, model: str) -> tuple[int, int]:
        """Inferences and executions since the model was loaded, by the server's own statistics."""
        answer = await self.client.get_inference_statistics(model, client_timeout=REQUEST_TIMEOUT_S)
        (statistics,) = answer.model_stats
        return statistics.inference_count, statistics.execution_count

    async def counted(self, model: str, *, inferences: int) -> tuple[int, int]:
        """The same, when there are so many: an answer comes before it is counted."""

        async def are() -> bool:
            return (await self.counts(model))[0] >= inferences

        await until(are, timeout_s=REQUEST_TIMEOUT_S)
        return await self.counts(model)


@asynccontextmanager
async def running_server(
    root: Path, repository: Path, **changes: Any
) -> AsyncGenerator[RunningServer]:
    """Ready when the block begins."""
    settings = StackSettings(repository=repository, default_model="gains", **changes)
    doors = TritonDoors.choose(FreePorts())
    with locked(root) as runtime:
        async with supervisor() as processes:
            process = processes.start(stack_triton.plan(doors, runtime, settings))
            await process.ready()
            async with triton.InferenceServerClient(doors.grpc_address) as client:
                yield RunningServer(
                    doors=doors, process=process, client=client, runtime=runtime, settings=settings
                )
