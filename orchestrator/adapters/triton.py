"""Stems from Triton, through outages."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from time import monotonic

import grpc
import numpy as np
import structlog
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException

from orchestrator.adapters.transport import Call, Transport
from stemcore.catalogue.port import ModelCatalogue
from stemcore.catalogue.triton import TritonSettings
from stemcore.errors import ErrorCode, Unavailable
from stemcore.model_card import ModelCard

Samples = NDArray[np.float32]

# Around one call of a model; yields the headers that let the server join the caller's trace.
CallWatch = Callable[[str], AbstractContextManager[Mapping[str, str]]]

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
    """A StemSeparator. Only the outputs asked for travel.

    A bag's models are asked one after the other, so that a segment is one request in flight,
    whatever its model: other segments of the window keep the server busy meanwhile.
    """

    def __init__(
        self,
        transport: Transport,
        catalogue: ModelCatalogue,
        settings: TritonSettings,
        *,
        watch: CallWatch = unwatched,
    ) -> None:
        self._transport = transport
        self._catalogue = catalogue
        self._settings = settings
        self._watch = watch

    async def separate(self, window: Samples, *, card: ModelCard, stems: Sequence[str]) -> Samples:
        """(channels, samples) to (stems, channels, samples)."""
        separated: Samples = np.empty((len(stems), *window.shape), dtype=np.float32)
        targets: defaultdict[str, dict[str, Samples]] = defaultdict(dict)
        sources = {source.stem: source for source in card.stems}
        for index, stem in enumerate(stems):
            targets[sources[stem].model][sources[stem].output] = separated[index]
        for model, outputs in targets.items():
            await self._through_outages(model, outputs, window, card)
        return separated

    async def _through_outages(
        self, model: str, targets: Mapping[str, Samples], window: Samples, card: ModelCard
    ) -> None:
        until: float | None = None
        while True:
            try:
                with self._watch(model) as headers:
                    call = Call(model=model, window=window, targets=targets, headers=headers)
                    return await self._transport.infer(call)
            except (InferenceServerException, grpc.RpcError) as error:
                if not _is_outage(error):
                    raise Unavailable(
                        ErrorCode.ENGINE_FAILED, "The inference server failed on a segment."
                    ) from error
                if until is None:
                    until = monotonic() + self._settings.outage_s
                    _log.warning("engine_away", model=model, reason=str(error))
                await self._recovered(card, until=until, cause=error)

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
