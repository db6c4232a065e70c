"""The catalogue read from Triton: the cards travel in the models' own configuration."""

import asyncio
import json
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from time import monotonic
from typing import Any, Literal

import grpc
import structlog
import tritonclient.grpc.aio as triton
from pydantic import Field, SecretStr
from tritonclient.utils import InferenceServerException

from stemcore.catalogue.port import MeasuredSpeed, ServedModel
from stemcore.errors import ErrorCode, Unavailable
from stemcore.model_card import CARD_PARAMETER, CardError, ModelCard
from stemcore.settings import SettingsSection
from stemcore.sharing import Shared

MAX_MESSAGE_BYTES = 2**31 - 1
# A model on its way out is "not found", or "unavailable" as a server that is away would be.
_NOT_FOUND, _NO_VERSION = "StatusCode.NOT_FOUND", "no available versions"

# One connection to each address, each request on the next: by default all go to the first.
_IN_TURN = json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})

_log = structlog.get_logger(__name__)


class TritonSettings(SettingsSection):
    """Where Triton's gRPC door is, and how long to wait for what.

    An address that stands for several servers, a headless service's name as `dns:///NAME:8001` or
    `ipv4:A:8001,B:8001`, has its requests shared out among them.

    `infer_timeout_s` bounds one segment, waiting in the server's queue included; `outage_s` how
    long a segment waits for a server that is away. `window` is how many requests are in flight.
    `transport` says how samples travel: in gRPC messages, through shared memory ("shm", which takes
    a server on this machine), or by shared memory until the server refuses it ("auto").
    """

    address: str = "127.0.0.1:8001"
    metadata_timeout_s: float = Field(default=2.0, gt=0)
    infer_timeout_s: float = Field(default=120.0, gt=0)
    outage_s: float = Field(default=120.0, gt=0)
    window: int = Field(default=2, ge=1, le=64)
    transport: Literal["grpc", "shm", "auto"] = "auto"
    shared_memory_secret: SecretStr | None = None


@asynccontextmanager
async def open_triton(settings: TritonSettings) -> AsyncGenerator[triton.InferenceServerClient]:
    """One client per process. Its channel is usable again a second after the server is back."""
    client = triton.InferenceServerClient(
        settings.address,
        channel_args=[
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 1000),
            ("grpc.service_config", _IN_TURN),
        ],
    )
    try:
        yield client
    finally:
        await client.close()


class TritonCatalogue:
    """A ModelCatalogue over the models Triton has loaded; answers are kept for `fresh_s`."""

    def __init__(
        self, client: triton.InferenceServerClient, *, timeout_s: float, fresh_s: float = 1.0
    ) -> None:
        self._client: Any = client
        self._timeout_s = timeout_s
        self._fresh_s = fresh_s
        self._asked_at = -fresh_s
        self._models: tuple[ServedModel, ...] = ()
        self._asking = Shared(self._ask, name="ask-triton")

    async def models(self) -> tuple[ServedModel, ...]:
        """All loaded models that carry a card, by name, parts of bags too.

        All who ask at once share one answer, so that a silent server delays nobody twice.
        """
        if monotonic() - self._asked_at >= self._fresh_s:
            return await self._asking.answer()
        return self._models

    async def _ask(self) -> tuple[ServedModel, ...]:
        with _triton_errors():
            models = await self._described()
        self._models, self._asked_at = models, monotonic()
        return models

    async def _described(self) -> tuple[ServedModel, ...]:
        # Statistics name every loaded model without the right to load others.
        statistics = await self._client.get_inference_statistics(client_timeout=self._timeout_s)
        by_name = {model.name: model for model in statistics.model_stats}
        described = (self._describe(name, by_name[name]) for name in sorted(by_name))
        models = await asyncio.gather(*described)
        return tuple(model for model in models if model is not None)

    async def _describe(self, name: str, statistics: Any) -> ServedModel | None:
        try:
            answer = await self._client.get_model_config(name, client_timeout=self._timeout_s)
        except InferenceServerException as error:
            if _is_gone(error):
                # Unloaded since the statistics named it; the others are there all the same.
                return None
            raise
        text: str = answer.config.parameters[CARD_PARAMETER].string_value
        if not text:
            return None
        try:
            card = ModelCard.from_json(text)
        except CardError as error:
            _log.warning("model_card_unreadable", model=name, reason=str(error))
            return None
        ready = await self._client.is_model_ready(name, client_timeout=self._timeout_s)
        return ServedModel(
            card=card, ready=ready, refusal=refusal_of(card), speed=_speed(statistics)
        )


def refusal_of(card: ModelCard) -> str | None:
    """Why a card's model may not be used, or None."""
    if not card.parity_passed:
        return "The card has no passed parity with the reference implementation."
    return None


def _is_gone(error: Any) -> bool:
    """Of an InferenceServerException."""
    return bool(error.status() == _NOT_FOUND or _NO_VERSION in error.message())


def _speed(statistics: Any) -> MeasuredSpeed | None:
    """Of a ModelStatistics message: executions by their batch size, with their compute times."""
    batches = [(batch.batch_size, batch.compute_infer) for batch in statistics.batch_stats]
    segments = sum(size * computed.count for size, computed in batches)
    took_ns = sum(computed.ns for _, computed in batches)
    if not segments or not took_ns:
        return None
    return MeasuredSpeed(segments=segments, seconds_per_segment=took_ns / 1e9 / segments)


@contextmanager
def _triton_errors() -> Generator[None]:
    try:
        yield
    except (InferenceServerException, grpc.RpcError, TimeoutError) as error:
        raise Unavailable(
            ErrorCode.ENGINE_UNAVAILABLE, "The inference server does not answer."
        ) from error
