"""Figures of the queue, from a real database."""

import math
from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from stemcore.catalogue.port import ServedModel
from stemcore.database.pool import DatabaseSettings, open_pool
from stemcore.errors import ErrorCode, Unavailable
from stemcore.ids import new_id
from stemcore.telemetry.state_gauges import StateGauges
from tests.integration.gateway.cards import make_card

if TYPE_CHECKING:
    from stemcore.database.pool import Pool

BACKLOG = "separation_backlog_audio_seconds"
NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


async def no_models() -> tuple[ServedModel, ...]:
    return ()


def label_of(model: str) -> dict[str, str]:
    return {"model": model, "engine": "onnxruntime", "precision": "fp32"}


async def three_models() -> tuple[ServedModel, ...]:
    return (
        ServedModel(card=make_card("mini"), ready=True),
        ServedModel(card=make_card("loading"), ready=False),
        ServedModel(card=make_card("refused"), ready=True, refusal="No parity."),
    )


async def absent_models() -> tuple[ServedModel, ...]:
    raise Unavailable(ErrorCode.ENGINE_UNAVAILABLE, "Away.")


class Shown:
    """Gauges as they are scraped; they tell of a database that other tests use, too."""

    def __init__(self, gauges: StateGauges) -> None:
        self._gauges = gauges
        self._registry = CollectorRegistry()
        self._registry.register(gauges)

    async def value(self, name: str, **labels: str) -> float:
        await self._gauges.refresh()
        value = self._registry.get_sample_value(name, labels)
        return math.nan if value is None else value


async def add_job(
    pool: "Pool", *, status: str, duration_s: float | None, progress: float = 0.0
) -> None:
    account_id = new_id()
    await pool.execute(
        "INSERT INTO accounts (id, email, full_name, password_hash) VALUES ($1, $2, '', '')",
        account_id,
        str(account_id),
    )
    await pool.execute(
        """
        INSERT INTO jobs (id, account_id, kind, status, parameters, source_key, source_name,
                          source_bytes, source_facts, progress)
        VALUES ($1, $2, 'gauged', $3, '{}', '', '', 0, $4, $5)
        """,
        new_id(),
        account_id,
        status,
        None if duration_s is None else {"duration_s": duration_s},
        progress,
    )


@pytest.mark.parametrize(
    ("status", "duration_s", "progress", "left_s"),
    [
        ("accepted", 100.0, 0.0, 100.0),
        ("queued", 30.0, 0.0, 30.0),
        ("running", 200.0, 0.75, 50.0),
        ("queued", None, 0.0, 240.0),
        ("succeeded", 1000.0, 1.0, 0.0),
        ("failed", 1000.0, 0.5, 0.0),
    ],
)
async def test_the_backlog_is_the_audio_still_to_be_done(
    pool: "Pool", status: str, duration_s: float | None, progress: float, left_s: float
) -> None:
    shown = Shown(StateGauges(pool, no_models))
    before, jobs = await shown.value(BACKLOG), await shown.value("separation_jobs", status=status)
    await add_job(pool, status=status, duration_s=duration_s, progress=progress)
    assert await shown.value(BACKLOG) - before == pytest.approx(left_s)
    if left_s:
        assert await shown.value("separation_jobs", status=status) == jobs + 1
    await pool.execute("DELETE FROM jobs WHERE kind = 'gauged'")


async def test_messages_that_wait_are_counted(pool: "Pool") -> None:
    shown = Shown(StateGauges(pool, no_models))
    before = await shown.value("outbox_rows_waiting")
    await pool.execute("INSERT INTO outbox (topic, key, payload) VALUES ('gauged', 'k', '')")
    assert await shown.value("outbox_rows_waiting") == before + 1
    await pool.execute("DELETE FROM outbox WHERE topic = 'gauged'")


async def test_each_model_tells_whether_it_may_be_used(pool: "Pool") -> None:
    shown = Shown(StateGauges(pool, three_models))
    for model, usable in (("mini", 1), ("loading", 0), ("refused", 0)):
        assert await shown.value("models_loaded", **label_of(model)) == usable


async def test_what_nobody_tells_is_absent_and_not_zero(pool: "Pool") -> None:
    away = DatabaseSettings(dsn=SecretStr(NOWHERE), connect_timeout_s=1)
    async with open_pool(away) as nowhere:
        shown = Shown(StateGauges(nowhere, no_models))
        for name in (BACKLOG, "outbox_rows_waiting"):
            assert math.isnan(await shown.value(name))
    shown = Shown(StateGauges(pool, absent_models))
    assert math.isnan(await shown.value("models_loaded", **label_of("mini")))
    assert not math.isnan(await shown.value(BACKLOG))
