"""The book of claims in a real PostgreSQL."""

import asyncio
from typing import TYPE_CHECKING

import pytest

from orchestrator.adapters.postgres import PostgresClaims
from orchestrator.claims import Claim, Outcome
from stemcore.database.notifications import Notifications
from stemcore.errors import ErrorCode, StemyardError
from stemcore.jobs import ResultFile
from stemcore.separation_request import SEPARATION
from tests.integration.orchestrator.conftest import Jobs, claims_of

if TYPE_CHECKING:
    from stemcore.database.pool import Pool

KINDS = (SEPARATION,)
SONG = b"not decoded here"
RESULT = ResultFile(
    name="drums",
    filename="drums.wav",
    key="results/x",
    content_type="audio/wav",
    size_bytes=1,
    sha256="0" * 64,
)
OUTCOME = Outcome(
    results=[RESULT],
    ledger={"run_s": 1.0},
    source_facts={"duration_s": 2.0},
    measures={"null_depth_db": 30.0},
    warnings=[{"code": "c", "message": "m"}],
)


async def taken(claims: PostgresClaims) -> Claim:
    claim = await claims.claim(KINDS)
    assert claim is not None
    return claim


async def test_the_most_urgent_job_is_claimed_first_then_the_oldest(
    claims: PostgresClaims, jobs: Jobs
) -> None:
    old = await jobs.submit(SONG)
    young = await jobs.submit(SONG)
    urgent = await jobs.submit(SONG, priority=1)
    order = [(await taken(claims)).job_id for _ in range(3)]
    assert order == [urgent, old, young]
    assert await claims.claim(KINDS) is None


async def test_a_claim_leases_the_job(claims: PostgresClaims, jobs: Jobs) -> None:
    job_id = await jobs.submit(SONG)
    claim = await taken(claims)
    row = await jobs.row(job_id)
    assert (row["status"], row["lease_owner"]) == ("running", "w/1")
    assert (row["lease_token"], row["claims"]) == (claim.lease_token, claim.claims) == (1, 1)
    assert row["lease_expires_at"] > row["updated_at"]
    assert claim.ledger == {"upload_s": 0.25}
    assert await jobs.events(job_id) == ["job.accepted", "job.queued", "job.running"]


async def test_only_kinds_asked_for_are_claimed(claims: PostgresClaims, jobs: Jobs) -> None:
    await jobs.submit(SONG)
    assert await claims.claim(("transcription",)) is None


async def test_many_workers_never_share_a_job(
    pool: "Pool", notifications: Notifications, jobs: Jobs
) -> None:
    submitted = {await jobs.submit(SONG) for _ in range(5)}
    workers = [claims_of(pool, notifications, owner=str(number)) for number in range(8)]
    found = await asyncio.gather(*(worker.claim(KINDS) for worker in workers))
    claimed = [claim.job_id for claim in found if claim is not None]
    assert len(claimed) == len(set(claimed))
    assert set(claimed) <= submitted


async def test_success_publishes_in_one_step(claims: PostgresClaims, jobs: Jobs) -> None:
    job_id = await jobs.submit(SONG)
    assert await claims.succeed(await taken(claims), OUTCOME)
    row = await jobs.row(job_id)
    assert (row["status"], row["progress"], row["claims"]) == ("succeeded", 1.0, 0)
    assert row["results"] == [RESULT.to_dict()]
    assert row["measures"] == {"null_depth_db": 30.0}
    assert row["warnings"] == [{"code": "c", "message": "m"}]
    assert row["source_facts"] == {"duration_s": 2.0}
    assert row["finished_at"] is not None
    assert row["lease_owner"] is None


async def test_an_answer_that_got_lost_can_be_asked_for_again(
    claims: PostgresClaims, jobs: Jobs
) -> None:
    job_id = await jobs.submit(SONG)
    claim = await taken(claims)
    assert await claims.succeed(claim, OUTCOME)
    assert await claims.succeed(claim, OUTCOME)
    assert not await claims.fail(claim, StemyardError(ErrorCode.INTERNAL_ERROR, "no"))
    assert (await jobs.events(job_id)).count("job.succeeded") == 1


async def test_a_stale_holder_changes_nothing(claims: PostgresClaims, jobs: Jobs) -> None:
    job_id = await jobs.submit(SONG)
    stale = await taken(claims)
    assert await claims.release(stale, after_s=0, counted=True)
    present = await taken(claims)
    assert present.lease_token > stale.lease_token
    before = dict(await jobs.row(job_id))
    error = StemyardError(ErrorCode.INTERNAL_ERROR, "no")
    assert not await claims.renew(stale)
    assert not await claims.pin(stale, {"model": "x"})
    assert not await claims.progress(stale, progress=0.5, stage="x", data={})
    assert not await claims.succeed(stale, OUTCOME)
    assert not await claims.fail(stale, error)
    assert not await claims.release(stale, after_s=0, counted=False)
    assert dict(await jobs.row(job_id)) == before
    assert await claims.renew(present)


async def test_a_cancelled_job_is_lost_to_its_holder(claims: PostgresClaims, jobs: Jobs) -> None:
    job_id = await jobs.submit(SONG)
    claim = await taken(claims)
    await jobs.cancel(job_id)
    assert not await claims.renew(claim)
    assert not await claims.succeed(claim, OUTCOME)
    assert (await jobs.row(job_id))["status"] == "cancelled"


@pytest.mark.parametrize(("counted", "claims_after"), [(True, 1), (False, 0)])
async def test_a_graceful_release_gives_the_count_back(
    claims: PostgresClaims, jobs: Jobs, counted: bool, claims_after: int
) -> None:
    job_id = await jobs.submit(SONG)
    assert await claims.release(await taken(claims), after_s=0, counted=counted)
    row = await jobs.row(job_id)
    assert (row["status"], row["claims"]) == ("queued", claims_after)


async def test_a_job_that_backs_off_is_left_alone_for_a_while(
    claims: PostgresClaims, jobs: Jobs
) -> None:
    await jobs.submit(SONG)
    await claims.release(await taken(claims), after_s=60, counted=True)
    assert await claims.claim(KINDS) is None


async def test_progress_is_an_event(claims: PostgresClaims, jobs: Jobs) -> None:
    job_id = await jobs.submit(SONG)
    claim = await taken(claims)
    assert await claims.progress(claim, progress=0.5, stage="separating", data={"eta_s": 3})
    row = await jobs.row(job_id)
    assert (row["progress"], row["stage"]) == (0.5, "separating")
    assert (await jobs.events(job_id))[-1] == "job.progress"
