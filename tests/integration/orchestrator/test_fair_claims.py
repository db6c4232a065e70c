"""Whose job a free slot takes, and what finding it costs."""

import json
from collections import Counter
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from orchestrator.adapters.claim_attempts import MOST_URGENT
from orchestrator.adapters.postgres import PostgresClaims
from stemcore.ids import new_id
from stemcore.separation_request import SEPARATION
from tests.integration.orchestrator.conftest import Jobs

if TYPE_CHECKING:
    from stemcore.database.pool import Pool

KINDS = (SEPARATION,)
SONG_S = 240.0
MANY = 20_000


async def new_account(pool: "Pool") -> UUID:
    account_id = new_id()
    await pool.execute(
        "INSERT INTO accounts (id, email, full_name, password_hash) VALUES ($1, $2, '', '')",
        account_id,
        str(account_id),
    )
    return account_id


async def queue_jobs(
    pool: "Pool",
    account_id: UUID,
    *,
    count: int = 10,
    duration_s: float | None = SONG_S,
    priority: int = 0,
) -> None:
    """One after the other, as an account submits them."""
    facts = None if duration_s is None else {"duration_s": duration_s}
    for _ in range(count):
        await pool.execute(
            """
            INSERT INTO jobs (id, account_id, kind, status, priority, parameters, source_key,
                              source_name, source_bytes, source_facts, queued_at)
            VALUES ($1, $2, $3, 'queued', $4, '{}', 'key', 'song', 1, $5, now())
            """,
            new_id(),
            account_id,
            SEPARATION,
            priority,
            facts,
        )


class Floor:
    """Slots that take a job whenever one is free; the names of accounts in the order of claims."""

    def __init__(self, pool: "Pool", claims: PostgresClaims, **names: UUID) -> None:
        self._pool = pool
        self._claims = claims
        self._names = {account_id: name for name, account_id in names.items()}

    async def take(self) -> tuple[str, UUID]:
        claim = await self._claims.claim(KINDS)
        assert claim is not None
        return self._names[claim.account_id], claim.job_id

    async def end(self, job_id: UUID) -> None:
        await self._pool.execute("UPDATE jobs SET status = 'succeeded' WHERE id = $1", job_id)

    async def one_by_one(self, count: int) -> str:
        """The accounts in the order in which a single slot works for them."""
        order = ""
        for _ in range(count):
            name, job_id = await self.take()
            order += name
            await self.end(job_id)
        return order


@pytest.mark.usefixtures("jobs")
async def test_accounts_with_equal_jobs_take_turns(pool: "Pool", claims: PostgresClaims) -> None:
    a, b, c = [await new_account(pool) for _ in range(3)]
    for account in (a, b, c):
        await queue_jobs(pool, account)
    order = await Floor(pool, claims, a=a, b=b, c=c).one_by_one(30)
    assert order == "abc" * 10


async def test_who_comes_later_joins_where_the_queue_is(
    pool: "Pool", claims: PostgresClaims
) -> None:
    a, b = [await new_account(pool) for _ in range(2)]
    floor = Floor(pool, claims, a=a, b=b)
    await queue_jobs(pool, a)
    assert await floor.one_by_one(3) == "aaa"
    await floor.take()
    await queue_jobs(pool, b)
    order = await floor.one_by_one(12)
    assert order == "ba" * 6


async def test_shares_are_of_audio_not_of_jobs(pool: "Pool", claims: PostgresClaims) -> None:
    a, b = [await new_account(pool) for _ in range(2)]
    await queue_jobs(pool, a, duration_s=1800.0)
    await queue_jobs(pool, b, duration_s=300.0, count=30)
    order = await Floor(pool, claims, a=a, b=b).one_by_one(28)
    assert Counter(order) == {"a": 4, "b": 24}


async def test_a_preview_is_not_kept_out_by_another_accounts_long_jobs(
    pool: "Pool", claims: PostgresClaims
) -> None:
    a, b = [await new_account(pool) for _ in range(2)]
    floor = Floor(pool, claims, a=a, b=b)
    await queue_jobs(pool, a, duration_s=1800.0)
    assert (await floor.take())[0] == "a"
    await queue_jobs(pool, b, duration_s=10.0, count=1)
    assert (await floor.take())[0] == "b"


async def test_priority_comes_before_any_share(pool: "Pool", claims: PostgresClaims) -> None:
    a, b = [await new_account(pool) for _ in range(2)]
    await queue_jobs(pool, b, count=3)
    await queue_jobs(pool, a, count=3, priority=1)
    assert await Floor(pool, claims, a=a, b=b).one_by_one(6) == "aaabbb"


@pytest.mark.parametrize("duration_s", [None, 0.0])
async def test_jobs_of_unknown_length_count_too(
    pool: "Pool", claims: PostgresClaims, duration_s: float | None
) -> None:
    a, b = [await new_account(pool) for _ in range(2)]
    await queue_jobs(pool, a, count=4, duration_s=duration_s)
    await queue_jobs(pool, b, count=4, duration_s=duration_s)
    assert await Floor(pool, claims, a=a, b=b).one_by_one(8) == "abababab"


async def test_what_was_cancelled_costs_nobody_a_turn(pool: "Pool", claims: PostgresClaims) -> None:
    a, b = [await new_account(pool) for _ in range(2)]
    await queue_jobs(pool, a, count=5, duration_s=1800.0)
    await pool.execute("UPDATE jobs SET status = 'cancelled'")
    await queue_jobs(pool, b, count=3)
    await queue_jobs(pool, a, count=3)
    assert await Floor(pool, claims, a=a, b=b).one_by_one(6) == "bababa"


async def test_a_claim_reads_one_row_however_long_the_queue_is(pool: "Pool", jobs: Jobs) -> None:
    accounts = [await new_account(pool) for _ in range(20)]
    async with pool.acquire() as connection, connection.transaction():
        # Turns one by one would take long, and are not what is measured here.
        await connection.execute("ALTER TABLE jobs DISABLE TRIGGER jobs_turn")
        await connection.execute(
            """
            INSERT INTO jobs (id, account_id, kind, status, parameters, source_key, source_name,
                              source_bytes, queued_at, turn)
            SELECT gen_random_uuid(), ($1::uuid[])[1 + n % 20], $2, 'queued', '{}', 'key', 'song',
                   1, now(), n / 20
              FROM generate_series(1, $3) AS n
            """,
            accounts,
            SEPARATION,
            MANY,
        )
        await connection.execute("ALTER TABLE jobs ENABLE TRIGGER jobs_turn")
    await pool.execute("ANALYZE jobs")
    plan = await explained(pool, MOST_URGENT, list(KINDS))
    (scan,) = [node for node in nodes(plan) if "Relation Name" in node]
    assert scan["Index Name"] == "jobs_to_claim"
    assert scan["Actual Rows"] == 1
    assert "Sort" not in {node["Node Type"] for node in nodes(plan)}
    await jobs.pool.execute("DELETE FROM jobs")


async def explained(pool: "Pool", statement: str, *values: Any) -> dict[str, Any]:
    (row,) = await pool.fetch(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", *values)
    return json.loads(row[0])[0]["Plan"]


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for inner in plan.get("Plans", []) for node in nodes(inner))]
