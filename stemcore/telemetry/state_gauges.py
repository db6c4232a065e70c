"""Figures that nobody counts as they happen: asked for now and then, and handed out as asked."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from stemcore.catalogue.port import ServedModel
from stemcore.database.pool import database_errors
from stemcore.errors import Unavailable
from stemcore.jobs import JobStatus

if TYPE_CHECKING:
    from stemcore.database.pool import Pool

ASK_EVERY_S = 5.0

_LIVE = [status.value for status in JobStatus if not status.is_terminal]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueState:
    """Jobs that have not ended, by status, the audio still to be done, messages to be sent."""

    jobs: Mapping[str, int]
    backlog_audio_s: float
    outbox_rows: int


class StateGauges(Collector):
    """The queue's length and the models. While a server does not tell, its figures are absent."""

    def __init__(
        self, pool: "Pool", models: Callable[[], Awaitable[Sequence[ServedModel]]]
    ) -> None:
        self._pool = pool
        self._models = models
        self._queue: QueueState | None = None
        self._served: Sequence[ServedModel] = ()

    async def run(self) -> None:
        """Ask every few seconds, until cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(ASK_EVERY_S)

    async def refresh(self) -> None:
        """Ask now."""
        self._queue, self._served = await asyncio.gather(self._ask_database(), self._ask_engine())

    def describe(self) -> Iterator[Metric]:
        """All there can be."""
        return self.describe_all()

    @staticmethod
    def describe_all() -> Iterator[Metric]:
        """All there can be, without values that mean anything."""
        none = QueueState(jobs={}, backlog_audio_s=0, outbox_rows=0)
        yield from _queue_families(none)
        yield _models_family(())

    def collect(self) -> Iterator[Metric]:
        """As last told."""
        if self._queue is not None:
            yield from _queue_families(self._queue)
        if self._served:
            yield _models_family(self._served)

    async def _ask_database(self) -> QueueState | None:
        try:
            with database_errors():
                return await _queue_state(self._pool)
        except Unavailable:
            return None

    async def _ask_engine(self) -> Sequence[ServedModel]:
        try:
            return await self._models()
        except Unavailable:
            return ()


async def _queue_state(pool: "Pool") -> QueueState:
    # The condition is that of an index; a source of unknown length counts as it does for turns.
    rows = await pool.fetch(
        """
        SELECT status, count(*) AS jobs,
               sum(coalesce(nullif((source_facts->>'duration_s')::float8, 0), 240)
                   * (1 - progress)) AS audio_s
          FROM jobs WHERE status IN ('accepted', 'queued', 'running') GROUP BY status
        """
    )
    return QueueState(
        jobs=dict.fromkeys(_LIVE, 0) | {row["status"]: row["jobs"] for row in rows},
        backlog_audio_s=sum(row["audio_s"] for row in rows),
        outbox_rows=await pool.fetchval("SELECT count(*) FROM outbox"),
    )


def _queue_families(state: QueueState) -> Iterator[Metric]:
    jobs = GaugeMetricFamily(
        "separation_jobs", "Jobs that have not ended, as the database has them.", labels=["status"]
    )
    for status, count in state.jobs.items():
        jobs.add_metric([status], count)
    yield jobs
    yield GaugeMetricFamily(
        "separation_backlog_audio_seconds",
        "Audio of all jobs that is still to be separated.",
        value=state.backlog_audio_s,
    )
    yield GaugeMetricFamily(
        "outbox_rows_waiting", "Messages not yet handed on.", value=state.outbox_rows
    )


def _models_family(served: Sequence[ServedModel]) -> Metric:
    models = GaugeMetricFamily(
        "models_loaded",
        "Models of the inference server: 1 for one that is ready and may be used, else 0.",
        labels=["model", "engine", "precision"],
    )
    for model in served:
        card = model.card
        models.add_metric([card.name, card.engine, card.precision], model.usable)
    return models
