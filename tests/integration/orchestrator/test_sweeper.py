"""What the sweeper brings back."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from orchestrator.adapters.postgres import PostgresClaims
from orchestrator.dispatch import DispatchPath
from orchestrator.sweeper import Sweeper, SweepRules
from stemcore.ids import new_id
from stemcore.separation_request import SEPARATION
from stemcore.storage.filesystem import FilesystemStore
from stemcore.storage.memory import MemoryStore
from stemcore.storage.port import ObjectMissing, StorageError
from tests.integration.orchestrator.conftest import Jobs

if TYPE_CHECKING:
    from stemcore.database.pool import Pool

SONG = b"not decoded here"


@pytest.fixture
def dispatched() -> list[DispatchPath]:
    """By what jobs were queued."""
    return []


RULES = SweepRules(
    period_s=1.0,
    undispatched_after_s=30.0,
    doomed_for_s=120.0,
    max_claims=3,
    inbox_kept_days=60,
)


@pytest.fixture
def sweeper(pool: "Pool", store: FilesystemStore, dispatched: list[DispatchPath]) -> Sweeper:
    return Sweeper(pool, store, rules=RULES, dispatched=dispatched.append)


async def claimed_and_abandoned(jobs: Jobs, claims: PostgresClaims, job_id: UUID) -> None:
    assert await claims.claim((SEPARATION,)) is not None
    await jobs.pool.execute(
        "UPDATE jobs SET lease_expires_at = now() - interval '1 second' WHERE id = $1", job_id
    )


async def test_a_dead_workers_job_is_queued_again(
    sweeper: Sweeper, claims: PostgresClaims, jobs: Jobs
) -> None:
    job_id = await jobs.submit(SONG)
    await claimed_and_abandoned(jobs, claims, job_id)
    await sweeper.sweep()
    row = await jobs.row(job_id)
    assert (row["status"], row["claims"], row["lease_owner"]) == ("queued", 1, None)
    again = await claims.claim((SEPARATION,))
    assert again is not None
    assert (again.lease_token, again.claims) == (2, 2)


async def test_a_live_lease_is_left_alone(
    sweeper: Sweeper, claims: PostgresClaims, jobs: Jobs
) -> None:
    job_id = await jobs.submit(SONG)
    await claims.claim((SEPARATION,))
    await sweeper.sweep()
    assert (await jobs.row(job_id))["status"] == "running"


async def test_the_third_lost_lease_in_a_row_is_poison(
    sweeper: Sweeper, claims: PostgresClaims, jobs: Jobs
) -> None:
    job_id = await jobs.submit(SONG)
    for _ in range(3):
        await claimed_and_abandoned(jobs, claims, job_id)
        await sweeper.sweep()
    row = await jobs.row(job_id)
    assert row["status"] == "failed"
    assert row["error"]["code"] == "too_many_attempts"
    assert (await jobs.events(job_id))[-1] == "job.failed"


async def test_a_job_nobody_dispatched_is_queued_after_a_while_and_counted(
    sweeper: Sweeper, jobs: Jobs, dispatched: list[DispatchPath]
) -> None:
    job_id = await jobs.submit(SONG, queued=False)
    await sweeper.sweep()
    assert (await jobs.row(job_id))["status"] == "accepted"
    assert dispatched == []
    await jobs.pool.execute("UPDATE jobs SET created_at = now() - interval '1 hour'")
    await sweeper.sweep()
    assert (await jobs.row(job_id))["status"] == "queued"
    await sweeper.sweep()
    assert dispatched == [DispatchPath.SWEEP]


async def test_what_a_dead_worker_stored_is_deleted_later(
    sweeper: Sweeper, claims: PostgresClaims, jobs: Jobs, store: FilesystemStore
) -> None:
    async def data() -> AsyncIterator[bytes]:
        yield b"half a result"

    job_id = await jobs.submit(SONG)
    await claimed_and_abandoned(jobs, claims, job_id)
    key = f"results/{job_id}/1/drums.wav"
    await store.put(key, data())
    await sweeper.sweep()
    assert await store.size_bytes(key) > 0
    await jobs.pool.execute("UPDATE doomed_prefixes SET created_at = now() - interval '1 hour'")
    await sweeper.sweep()
    with pytest.raises(ObjectMissing):
        await store.size_bytes(key)
    assert await jobs.pool.fetchval("SELECT count(*) FROM doomed_prefixes") == 0


class StoreAway(MemoryStore):
    """Counts who asks in vain."""

    asked = 0

    async def delete_prefix(self, prefix: str) -> int:
        self.asked += 1
        raise StorageError(prefix)


async def test_a_store_that_is_away_is_asked_once_in_a_round(
    pool: "Pool", dispatched: list[DispatchPath]
) -> None:
    await pool.executemany(
        "INSERT INTO doomed_prefixes VALUES ($1, now() - interval '1 hour')", [("a/",), ("b/",)]
    )
    store = StoreAway()
    await Sweeper(pool, store, rules=RULES, dispatched=dispatched.append).sweep()
    assert store.asked == 1
    assert await pool.fetchval("SELECT count(*) FROM doomed_prefixes") == 2


async def test_messages_are_remembered_for_longer_than_they_can_come_again(
    sweeper: Sweeper, jobs: Jobs
) -> None:
    old, young = new_id(), new_id()
    await jobs.pool.execute(
        "INSERT INTO inbox (event_id, received_at) VALUES "
        "($1, now() - interval '61 days'), ($2, now() - interval '59 days')",
        old,
        young,
    )
    await jobs.pool.execute(
        "INSERT INTO dead_letters (topic, payload, reason, created_at) VALUES "
        "('old', '', '', now() - interval '61 days'), ('young', '', '', now() - interval '59 days')"
    )
    await sweeper.sweep()
    assert [row["event_id"] for row in await jobs.pool.fetch("SELECT * FROM inbox")] == [young]
    letters = await jobs.pool.fetch("SELECT topic FROM dead_letters")
    assert [row["topic"] for row in letters] == ["young"]
