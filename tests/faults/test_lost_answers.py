"""Claims whose commit was done, or was not, without the worker's hearing of it."""

import asyncio
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from orchestrator.adapters.postgres import PostgresClaims
from orchestrator.claims import Claim
from stemcore.database.notifications import Notifications
from stemcore.database.pool import DatabaseSettings, open_pool
from stemcore.errors import Unavailable
from stemcore.separation_request import SEPARATION
from stemyard.stack.waiting import until
from tests.faults.floor import LEASE_S, PATIENCE_S, Floor
from tests.faults.link import Link

if TYPE_CHECKING:
    from stemcore.database.pool import Pool

KINDS = (SEPARATION,)
COMMIT = b"COMMIT"
SONG = b"not decoded here"


def claims_over(pool: "Pool", dsn: str, *, owner: str) -> PostgresClaims:
    notifications = Notifications(DatabaseSettings(dsn=SecretStr(dsn)))
    return PostgresClaims(pool, notifications, owner=owner, lease_length_s=LEASE_S)


@pytest.fixture
async def cut_off(linked_dsn: str) -> AsyncGenerator[PostgresClaims]:
    """A worker's book of claims, by way of the link."""
    async with open_pool(DatabaseSettings(dsn=SecretStr(linked_dsn))) as pool:
        yield claims_over(pool, linked_dsn, owner="cut off")


async def claimed(claims: PostgresClaims) -> Claim:
    """Once the server has noticed that the connection is gone which held the row."""
    found: list[Claim] = []

    async def is_claimed() -> bool:
        claim = await claims.claim(KINDS)
        found.extend([] if claim is None else [claim])
        return bool(found)

    await until(is_claimed, timeout_s=PATIENCE_S)
    return found[0]


async def test_a_claim_that_was_committed_unheard_is_taken_up(
    floor: Floor, link: Link, cut_off: PostgresClaims
) -> None:
    job_id = await floor.jobs.submit(SONG)
    link.lose_answer_to(COMMIT)
    with pytest.raises(Unavailable):
        await cut_off.claim(KINDS)
    before = await floor.jobs.row(job_id)
    assert before["status"] == "running"
    claim = await cut_off.claim(KINDS)
    assert claim is not None
    assert (claim.job_id, claim.lease_token, claim.claims) == (job_id, 1, 1)
    after = await floor.jobs.row(job_id)
    assert after["lease_expires_at"] > before["lease_expires_at"]
    assert (await floor.jobs.events(job_id)).count("job.running") == 1
    assert await cut_off.claim(KINDS) is None


async def test_only_one_of_a_workers_slots_takes_it_up(
    floor: Floor, link: Link, cut_off: PostgresClaims
) -> None:
    await floor.jobs.submit(SONG)
    link.lose_answer_to(COMMIT)
    with pytest.raises(Unavailable):
        await cut_off.claim(KINDS)
    found = await asyncio.gather(*(cut_off.claim(KINDS) for _ in range(4)))
    assert sum(claim is not None for claim in found) == 1


async def test_a_claim_that_never_arrived_leaves_the_job_to_others(
    floor: Floor, link: Link, cut_off: PostgresClaims
) -> None:
    job_id = await floor.jobs.submit(SONG)
    link.lose(COMMIT)
    with pytest.raises(Unavailable):
        await cut_off.claim(KINDS)
    other = await claimed(claims_over(floor.pool, floor.dsn, owner="other"))
    # The same job with the same token: only its owner tells whose it is.
    assert (other.job_id, other.lease_token) == (job_id, 1)
    assert await cut_off.claim(KINDS) is None
    assert await cut_off.renew(other)


async def test_a_claim_taken_from_a_silent_worker_is_not_taken_up(
    floor: Floor, link: Link, cut_off: PostgresClaims
) -> None:
    job_id = await floor.jobs.submit(SONG)
    link.lose_answer_to(COMMIT)
    with pytest.raises(Unavailable):
        await cut_off.claim(KINDS)
    await floor.pool.execute("UPDATE jobs SET status = 'queued' WHERE id = $1", job_id)
    taken = await claims_over(floor.pool, floor.dsn, owner="other").claim(KINDS)
    assert taken is not None
    assert taken.lease_token == 2
    assert await cut_off.claim(KINDS) is None
