"""Stems from Triton, over one gRPC channel, through outages."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from time import monotonic
from typing import Any

import grpc
import numpy as np
import structlog
import tritonclient.grpc.aio as triton
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException

from stemcore.catalogue.port import ModelCatalogue
from stemcore.catalogue.triton import TritonSettings
from stemcore.errors import ErrorCode, Unavailable
from stemcore.model_card import ModelCard

Samples = NDArray[np.float32]

# Around one call of a model; yields the headers that let the server join the caller's trace.
CallWatch = Callable[[str], AbstractContextManager[Mapping[str, str]]]

INPUT = "mix"
READY_POLL_S = 0.1

# A server that dies, starts or has not loaded the model yet; and one that hangs.
_OUTAGES = frozenset(
    {
        "StatusCode.UNAVAILABLE",
        "StatusCode.CANCELLED",
        "StatusCode.NOT_FOUND",
        "StatusCode.DEADLINE_EXCEEDED",
    }
)

_log = structlog.get_logger(__name__)


def unwatched(_model: str) -> AbstractContextManager[Mapping[str, str]]:
    """A CallWatch that looks away."""
    return nullcontext({})


class TritonSeparator:
    """A StemSeparator. Only the outputs asked for travel; a bag's models are asked one by one."""

    def __init__(
        self,
        client: triton.InferenceServerClient,
        catalogue: ModelCatalogue,
        settings: TritonSettings,
        *,
        watch: CallWatch = unwatched,
    ) -> None:
        self._client: Any = client
        self._catalogue = catalogue
        self._settings = settings
        self._watch = watch

    async def separate(self, window: Samples, *, card: ModelCard, stems: Sequence[str]) -> Samples:
        """(channels, samples) to (stems, channels, samples)."""
        outputs: defaultdict[str, list[str]] = defaultdict(list)
        sources = {source.stem: source for source in card.stems}
        for stem in stems:
            outputs[sources[stem].model].append(sources[stem].output)
        answers = {
            model: await self._through_outages(model, names, window, card)
            for model, names in outputs.items()
        }
        return np.stack([answers[sources[s].model][sources[s].output] for s in stems])

    async def _through_outages(
        self, model: str, outputs: Sequence[str], window: Samples, card: ModelCard
    ) -> dict[str, Samples]:
        until: float | None = None
        while True:
            try:
                return await self._infer(model, outputs, window)
            except (InferenceServerException, grpc.RpcError) as error:
                if not _is_outage(error):
                    raise Unavailable(
                        ErrorCode.ENGINE_FAILED, "The inference server failed on a segment."
                    ) from error
                if until is None:
                    until = monotonic() + self._settings.outage_s
                    _log.warning("engine_away", model=model, reason=str(error))
                await self._recovered(card, until=until, cause=error)

    async def _infer(
        self, model: str, outputs: Sequence[str], window: Samples
    ) -> dict[str, Samples]:
        tensor: Any = triton.InferInput(INPUT, [1, *window.shape], "FP32")
        tensor.set_data_from_numpy(window[None])
        with self._watch(model) as headers:
            answer = await self._client.infer(
                model,
                [tensor],
                outputs=[triton.InferRequestedOutput(name) for name in outputs],
                client_timeout=self._settings.infer_timeout_s,
                headers=headers or None,
            )
        return {name: answer.as_numpy(name)[0].astype(np.float32, copy=False) for name in outputs}

    async def _recovered(self, card: ModelCard, *, until: float, cause: Exception) -> None:
        """Wait until the same model is served again."""
        while monotonic() < until:
            await asyncio.sleep(READY_POLL_S)
            if await self._is_back(card):
                _log.info("engine_back", model=card.name)
                return
        raise Unavailable(
            ErrorCode.ENGINE_UNAVAILABLE, "The inference server stays away."
        ) from cause

    async def _is_back(self, card: ModelCard) -> bool:
        try:
            models = await self._catalogue.models()
        except Unavailable:
            return False
        for served in models:
            if served.card.name == card.name and served.usable:
                if served.card.digest != card.digest:
                    raise Unavailable(
                        ErrorCode.ENGINE_UNAVAILABLE, "The model was exchanged during the run."
                    )
                return True
        return False


def _is_outage(error: InferenceServerException | grpc.RpcError) -> bool:
    return isinstance(error, InferenceServerException) and error.status() in _OUTAGES
