"""Jobs that are cancelled, taken over, or given back midway."""

import asyncio
import dataclasses

from orchestrator.adapters.memory import MemorySeparator
from orchestrator.adapters.postgres import PostgresClaims
from orchestrator.claims import Claim, Outcome
from stemcore.database.notifications import Notifications
from stemcore.errors import ErrorCode, Unavailable
from stemcore.jobs import JobStatus
from tests.integration.orchestrator.cards import GAINS
from tests.integration.orchestrator.conftest import ENDED, LEASE_S, Floor, Jobs
from tests.integration.orchestrator.gate import stopped_midway
from tests.integration.orchestrator.songs import wav
from tests.integration.stemcore.encoded import tones


async def test_cancelling_stops_the_run_and_leaves_nothing(floor: Floor, jobs: Jobs) -> None:
    gate, job_id = await stopped_midway(floor, jobs)
    async with floor.open():
        await gate.reached.wait()
        await jobs.cancel(job_id)
        follower = await jobs.submit(wav(tones(1_000)))
        gate.opened.set()
        assert (await jobs.become(follower, *ENDED))["status"] == "succeeded"
        assert floor.scratch_files() == []
    assert (await jobs.row(job_id))["status"] == "cancelled"
    assert not [key for key in floor.results() if str(job_id) in key]


async def test_a_job_taken_over_is_published_by_its_new_holder_alone(
    floor: Floor, jobs: Jobs
) -> None:
    gate, job_id = await stopped_midway(floor, jobs)
    successor = dataclasses.replace(floor, separator=MemorySeparator(GAINS))
    async with floor.open():
        await gate.reached.wait()
        # It waits already, so that it is the one to take the job and not the first worker again.
        async with successor.open():
            # What the sweeper does to a worker it believes dead.
            await jobs.pool.execute(
                "UPDATE jobs SET status = 'queued', lease_expires_at = NULL WHERE id = $1", job_id
            )
            row = await jobs.become(job_id, *ENDED)
            gate.opened.set()
    assert (row["status"], row["lease_token"]) == ("succeeded", 2)
    assert {key.split("/")[2] for key in floor.results()} == {"2"}


async def test_a_worker_that_is_told_to_stop_gives_its_job_back_uncounted(
    floor: Floor, jobs: Jobs
) -> None:
    gate, job_id = await stopped_midway(floor, jobs)
    async with floor.open():
        await gate.reached.wait()
    row = await jobs.row(job_id)
    assert (row["status"], row["claims"]) == ("queued", 0)
    assert floor.scratch_files() == []
    assert floor.results() == []


class SlowToSettle(PostgresClaims):
    """A book in which success takes until it is told to go on."""

    begun: asyncio.Event
    go_on: asyncio.Event

    async def succeed(self, claim: Claim, outcome: Outcome) -> bool:
        written = await super().succeed(claim, outcome)
        self.begun.set()
        await self.go_on.wait()
        return written


async def test_results_already_published_survive_being_told_to_stop(
    floor: Floor, jobs: Jobs, notifications: Notifications
) -> None:
    claims = SlowToSettle(jobs.pool, notifications, owner="w", lease_length_s=LEASE_S)
    claims.begun, claims.go_on = asyncio.Event(), asyncio.Event()
    job_id = await jobs.submit(wav(tones(10_000)))
    async with dataclasses.replace(floor, claims=claims).open() as slot:
        await claims.begun.wait()
        slot.cancel()
        claims.go_on.set()
        await asyncio.wait((slot,))
    assert (await jobs.row(job_id))["status"] == "succeeded"
    assert len(floor.results()) == len(GAINS)


class Unanswering(PostgresClaims):
    """A book whose every success is written and whose every answer is lost."""

    async def succeed(self, claim: Claim, outcome: Outcome) -> bool:
        await super().succeed(claim, outcome)
        raise Unavailable(ErrorCode.SERVICE_UNAVAILABLE, "lost")


async def test_results_whose_publication_is_uncertain_are_kept(
    floor: Floor, jobs: Jobs, notifications: Notifications
) -> None:
    floor.claims = Unanswering(jobs.pool, notifications, owner="w", lease_length_s=LEASE_S)
    job_id = await jobs.submit(wav(tones(10_000)))
    follower = await jobs.submit(wav(tones(10_000)))
    async with floor.open():
        await jobs.become(follower, JobStatus.RUNNING, *ENDED)
    assert (await jobs.row(job_id))["status"] == "succeeded"
    assert len([key for key in floor.results() if str(job_id) in key]) == len(GAINS)


async def test_a_slot_told_to_stop_finishes_its_job_first(floor: Floor, jobs: Jobs) -> None:
    gate, job_id = await stopped_midway(floor, jobs)
    waiting = await jobs.submit(wav(tones(1_000)))
    stopping = asyncio.Event()
    async with floor.slot() as slot:
        running = asyncio.create_task(slot.run(stopping))
        await gate.reached.wait()
        stopping.set()
        gate.opened.set()
        await running
    assert (await jobs.row(job_id))["status"] == "succeeded"
    assert (await jobs.row(waiting))["status"] == "queued"
