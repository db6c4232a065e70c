"""Samples through memory that client and server share; the messages only say where they lie."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import numpy as np
import structlog
import tritonclient.grpc.aio as triton
from tritonclient.utils import InferenceServerException

from orchestrator.adapters.shared_regions import (
    SharedRegion,
    is_abandoned,
    remove_stale_regions,
)
from orchestrator.adapters.transport import (
    DTYPES,
    INPUT,
    Call,
    GrpcTransport,
    Transport,
    checked_outputs,
)
from stemcore.catalogue.triton import TritonSettings
from stemcore.errors import ErrorCode, Unavailable

# Triton's name of a header that guards a protocol.
SECRET_HEADER = "triton-grpc-protocol-stemyard-memory"  # noqa: S105 - a name
ServerErrors = (InferenceServerException, grpc.RpcError)

_log = structlog.get_logger(__name__)


class SharedMemoryRefused(Unavailable):
    """The server is there and will not take our memory, or there is none left to share."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            ErrorCode.ENGINE_UNAVAILABLE, f"No shared memory with the inference server: {reason}"
        )


class SharedMemoryTransport:
    """A Transport over regions that are registered once and used again and again.

    There are as many as there were calls at once. One whose call did not come to its end may still
    be written to by the server: it is given up, and its registration withdrawn as soon as the
    server lets go of it.
    """

    def __init__(
        self,
        client: triton.InferenceServerClient,
        *,
        timeout_s: float,
        metadata_timeout_s: float,
        secret: str | None,
    ) -> None:
        self._client: Any = client
        self._timeout_s = timeout_s
        self._metadata: dict[str, Any] = {
            "client_timeout": metadata_timeout_s,
            "headers": {SECRET_HEADER: secret} if secret else None,
        }
        self._free: list[SharedRegion] = []
        self._given_up: list[str] = list(remove_stale_regions())
        self._is_swept = False

    async def infer(self, call: Call) -> None:
        """See Transport."""
        outputs_bytes = sum(target.nbytes for target in call.targets.values())
        region, is_new = await self._take(call.window.nbytes + outputs_bytes)
        try:
            answer = await self._ask(call, region)
        except ServerErrors as error:
            # A server that was started again knows none of them.
            self._give_up(region, *self._free)
            self._free.clear()
            if is_new and region.name in str(error):
                raise SharedMemoryRefused("another server answers than was asked") from error
            raise
        except BaseException:
            self._give_up(region)
            raise
        self._free.append(region)
        _fill(call, answer, region)

    async def aclose(self) -> None:
        """Withdraw every registration that the server gives back, and all memory."""
        self._give_up(*self._free)
        self._free.clear()
        await self._withdraw()

    async def _take(self, size_bytes: int) -> tuple[SharedRegion, bool]:
        await self._withdraw()
        for region in self._free:
            if region.size_bytes >= size_bytes:
                self._free.remove(region)
                return region, False
        if self._free:
            # Too small for this model: one is exchanged for a larger one.
            self._give_up(self._free.pop())
        try:
            region = SharedRegion.make(size_bytes)
        except OSError as error:
            raise SharedMemoryRefused(f"no room: {error.strerror}") from error
        try:
            await self._register(region)
            await self._sweep()
        except BaseException:
            self._give_up(region)
            raise
        return region, True

    async def _register(self, region: SharedRegion) -> None:
        name, size_bytes = region.name, region.size_bytes
        register = self._client.register_system_shared_memory
        try:
            await register(name, name, size_bytes, **self._metadata)
        except ServerErrors:
            # Away, on its way back, or unwilling: only the last one says so twice.
            if not await self._client.is_server_live(**self._metadata):
                raise
            try:
                await register(name, name, size_bytes, **self._metadata)
            except ServerErrors as error:
                raise SharedMemoryRefused(str(error)) from error

    async def _sweep(self) -> None:
        """What dead clients left registered: the server would keep their memory for ever."""
        if self._is_swept:
            return
        try:
            status = await self._client.get_system_shared_memory_status(**self._metadata)
        except ServerErrors:
            return
        self._given_up += [name for name in status.regions if is_abandoned(name)]
        self._is_swept = True

    async def _ask(self, call: Call, region: SharedRegion) -> Any:
        region.array(call.window.shape, np.float32)[...] = call.window
        tensor: Any = triton.InferInput(INPUT, [1, *call.window.shape], "FP32")
        tensor.set_shared_memory(region.name, call.window.nbytes)
        outputs: list[Any] = []
        offset_bytes = call.window.nbytes
        for name, target in call.targets.items():
            output: Any = triton.InferRequestedOutput(name)
            output.set_shared_memory(region.name, target.nbytes, offset_bytes)
            outputs.append(output)
            offset_bytes += target.nbytes
        result = await self._client.infer(
            call.model,
            [tensor],
            outputs=outputs,
            client_timeout=self._timeout_s,
            headers=dict(call.headers) or None,
        )
        return result.get_response()

    def _give_up(self, *regions: SharedRegion) -> None:
        for region in regions:
            self._given_up.append(region.name)
            region.close()

    async def _withdraw(self) -> None:
        names, self._given_up = self._given_up, []
        await asyncio.gather(*map(self._unregister, names))

    async def _unregister(self, name: str) -> None:
        try:
            await self._client.unregister_system_shared_memory(name, **self._metadata)
        except ServerErrors:
            # Away, or still writing.
            self._given_up.append(name)


class FallingBackTransport:
    """Shared memory until the server refuses it, messages from then on."""

    def __init__(self, shared: SharedMemoryTransport, plain: Transport) -> None:
        self._shared = shared
        self._plain = plain
        self._is_refused = False

    async def infer(self, call: Call) -> None:
        """See Transport."""
        if not self._is_refused:
            try:
                return await self._shared.infer(call)
            except SharedMemoryRefused as refusal:
                if not self._is_refused:
                    _log.info("shared_memory_refused", reason=str(refusal))
                self._is_refused = True
        return await self._plain.infer(call)


@asynccontextmanager
async def open_transport(
    client: triton.InferenceServerClient, settings: TritonSettings
) -> AsyncGenerator[Transport]:
    """What the settings choose, all shared memory given back at the end."""
    plain = GrpcTransport(client, timeout_s=settings.infer_timeout_s)
    if settings.transport == "grpc":
        yield plain
        return
    secret = settings.shared_memory_secret
    shared = SharedMemoryTransport(
        client,
        timeout_s=settings.infer_timeout_s,
        metadata_timeout_s=settings.metadata_timeout_s,
        secret=secret.get_secret_value() if secret else None,
    )
    try:
        yield shared if settings.transport == "shm" else FallingBackTransport(shared, plain)
    finally:
        await shared.aclose()


def _fill(call: Call, answer: Any, region: SharedRegion) -> None:
    types = {output.name: DTYPES[output.datatype] for output in checked_outputs(call, answer)}
    offset_bytes = call.window.nbytes
    for name, target in call.targets.items():
        target[...] = region.array(target.shape, types[name], offset_bytes=offset_bytes)
        offset_bytes += target.nbytes
