"""Showing, listing, cancelling and deleting jobs."""

import json
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from gateway.jobs.repository import JobRepository
from gateway.jobs.service import JobService
from stemcore.errors import ErrorCode, Unavailable
from stemcore.jobs import JobStatus
from tests.integration.gateway.conftest import Caller, Floor, Gateway, SignUp

if TYPE_CHECKING:
    from stemcore.database.pool import Pool


async def test_a_waiting_job_knows_its_place(caller: Caller, floor: Floor, pool: "Pool") -> None:
    await pool.execute("DELETE FROM jobs")
    first = await caller.submitted()
    second = await caller.submitted()
    urgent = await caller.submitted(priority="5")
    places = [
        (await caller.http.get(f"/v1/jobs/{job['id']}")).json()["queue_position"]
        for job in (urgent, first, second)
    ]
    assert places == [1, 2, 3]


async def test_a_place_counts_what_will_be_claimed_before(
    caller: Caller, sign_up: SignUp, pool: "Pool"
) -> None:
    await pool.execute("DELETE FROM jobs")
    mine = [await caller.submitted() for _ in range(3)]
    other = await sign_up()
    theirs = [await other.submitted() for _ in range(2)]
    places = [
        (await who.http.get(f"/v1/jobs/{job['id']}")).json()["queue_position"]
        for who, jobs in ((caller, mine), (other, theirs))
        for job in jobs
    ]
    assert places == [1, 3, 5, 2, 4]


async def test_a_running_job_tells_how_long_it_takes(
    caller: Caller, floor: Floor, pool: "Pool"
) -> None:
    job = await caller.submitted()
    await floor.start(job["id"])
    await pool.execute(
        "UPDATE jobs SET started_at = now() - interval '10 s' WHERE id = $1", job["id"]
    )
    await floor.report(job["id"], 0.25)
    seen = (await caller.http.get(f"/v1/jobs/{job['id']}")).json()
    assert (seen["status"], seen["stage"], seen["progress"]) == ("running", "inference", 0.25)
    assert seen["eta_s"] == pytest.approx(30, abs=2)
    assert seen["queue_position"] is None


async def test_a_finished_job_names_its_results(caller: Caller, floor: Floor) -> None:
    job = await caller.submitted(stems="drums,no_drums")
    await floor.start(job["id"])
    await floor.finish(job["id"], drums=b"d" * 100, no_drums=b"v" * 50)
    seen = (await caller.http.get(f"/v1/jobs/{job['id']}")).json()
    assert seen["status"] == "succeeded"
    assert [(r["name"], r["filename"], r["size_bytes"]) for r in seen["results"]] == [
        ("drums", "drums.wav", 100),
        ("no_drums", "no_drums.wav", 50),
    ]
    assert [result["made_by"] for result in seen["results"]] == ["model", "subtraction"]
    assert (await caller.http.get(seen["results"][0]["href"])).content == b"d" * 100
    assert "key" not in seen["results"][0]
    assert seen["eta_s"] is None


async def test_a_failed_job_says_why(caller: Caller, floor: Floor) -> None:
    job = await caller.submitted()
    await floor.start(job["id"])
    error = {"code": "unreadable_audio", "message": "It breaks off.", "details": {"at_s": 3}}
    await floor.move(job["id"], JobStatus.FAILED, data={"error": error}, error=error)
    seen = (await caller.http.get(f"/v1/jobs/{job['id']}")).json()
    assert seen["error"] == {
        "error_code": "unreadable_audio",
        "message": "It breaks off.",
        "details": {"at_s": 3},
    }
    events = await caller.http.get(seen["events_href"])
    (told,) = (line for line in events.text.splitlines() if '"job.failed"' in line)
    assert json.loads(told.removeprefix("data: "))["error"] == seen["error"]


async def test_lists_are_paged_newest_first_and_without_gaps(caller: Caller) -> None:
    submitted = [(await caller.submitted())["id"] for _ in range(5)]
    pages, cursor = [], None
    while True:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await caller.http.get("/v1/jobs", params=query)).json()
        pages.append([job["id"] for job in page["items"]])
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [job_id for page in pages for job_id in page] == submitted[::-1]


async def test_lists_are_filtered(caller: Caller, floor: Floor) -> None:
    mini = await caller.submitted()
    other = await caller.submitted(model="two-stems")
    await floor.start(other["id"])

    async def listed(**query: str) -> list[str]:
        answer = await caller.http.get("/v1/jobs", params=query)
        return [job["id"] for job in answer.json()["items"]]

    assert await listed(status="running") == [other["id"]]
    assert await listed(model="stemyard-mini") == [mini["id"]]
    assert await listed(status="running", model="stemyard-mini") == []


@pytest.mark.parametrize(
    "query", [{"status": "lost"}, {"limit": "0"}, {"limit": "101"}, {"cursor": "?"}]
)
async def test_a_wrong_filter_is_refused(caller: Caller, query: dict[str, str]) -> None:
    answer = await caller.http.get("/v1/jobs", params=query)
    assert answer.status_code == 422
    assert answer.json()["error_code"] == "invalid_request"


@pytest.mark.parametrize("running", [False, True], ids=["waiting", "running"])
async def test_cancelling_fences_off_whoever_runs_the_job(
    caller: Caller, floor: Floor, pool: "Pool", running: bool
) -> None:
    job = await caller.submitted()
    if running:
        await floor.start(job["id"])
    token = await pool.fetchval("SELECT lease_token FROM jobs WHERE id = $1", job["id"])
    answer = await caller.http.post(f"/v1/jobs/{job['id']}/cancel")
    assert answer.status_code == 200
    assert answer.json()["status"] == "cancelled"
    assert answer.json()["finished_at"] is not None
    row = await pool.fetchrow(
        "SELECT lease_token, lease_owner, lease_expires_at FROM jobs WHERE id = $1", job["id"]
    )
    assert row is not None
    assert tuple(row) == (token + 1, None, None)
    again = await caller.http.post(f"/v1/jobs/{job['id']}/cancel")
    assert (again.status_code, again.json()) == (200, answer.json())


async def test_what_a_cancelled_worker_has_stored_is_doomed(
    caller: Caller, floor: Floor, pool: "Pool"
) -> None:
    waiting, running = await caller.submitted(), await caller.submitted()
    await floor.start(running["id"])
    for job in (waiting, running):
        await caller.http.post(f"/v1/jobs/{job['id']}/cancel")
    assert await _doomed(pool, waiting["id"]) == []
    assert await _doomed(pool, running["id"]) == [f"results/{running['id']}/1/"]


async def test_a_job_that_has_ended_is_not_cancelled(caller: Caller, floor: Floor) -> None:
    job = await caller.submitted()
    await floor.start(job["id"])
    await floor.finish(job["id"], drums=b"d")
    answer = await caller.http.post(f"/v1/jobs/{job['id']}/cancel")
    assert (answer.status_code, answer.json()["error_code"]) == (409, "job_finished")
    assert (await caller.http.get(f"/v1/jobs/{job['id']}")).json()["status"] == "succeeded"


async def test_a_deleted_job_is_gone_with_its_objects(
    caller: Caller, floor: Floor, gateway: Gateway, pool: "Pool"
) -> None:
    before = gateway.stored_files()
    job, kept = await caller.submitted(), await caller.submitted()
    await floor.start(job["id"])
    await floor.finish(job["id"], drums=b"d")
    answer = await caller.http.delete(f"/v1/jobs/{job['id']}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await caller.http.get(f"/v1/jobs/{job['id']}")).status_code == 404
    left = gateway.root / "sources" / kept["id"] / "original"
    assert gateway.stored_files() == sorted([*before, left])
    assert await _doomed(pool, job["id"]) == []
    assert (await caller.http.delete(f"/v1/jobs/{job['id']}")).status_code == 404


async def test_deleting_a_running_job_leaves_its_prefixes_to_the_sweeper(
    caller: Caller, floor: Floor, gateway: Gateway, pool: "Pool"
) -> None:
    before = gateway.stored_files()
    job = await caller.submitted()
    await floor.start(job["id"])
    assert (await caller.http.delete(f"/v1/jobs/{job['id']}")).status_code == 204
    assert gateway.stored_files() == before
    assert await _doomed(pool, job["id"]) == [f"results/{job['id']}/", f"sources/{job['id']}/"]


class ForgetfulRepository(JobRepository):
    """Loses the database once the job is deleted."""

    async def forget_prefixes(self, *prefixes: str) -> None:  # noqa: ARG002
        raise Unavailable(ErrorCode.SERVICE_UNAVAILABLE, "The database does not answer.")


async def test_a_deletion_is_done_although_the_database_then_goes_away(
    caller: Caller, floor: Floor, gateway: Gateway, pool: "Pool"
) -> None:
    before = gateway.stored_files()
    job = await caller.submitted()
    jobs = JobService(ForgetfulRepository(pool, max_live_jobs=10), store=floor.store)
    await jobs.delete(caller.account_id, UUID(job["id"]))
    assert (await caller.http.get(f"/v1/jobs/{job['id']}")).status_code == 404
    assert gateway.stored_files() == before
    assert await _doomed(pool, job["id"]) == [f"results/{job['id']}/", f"sources/{job['id']}/"]


async def _doomed(pool: "Pool", job_id: str) -> list[Any]:
    rows = await pool.fetch("SELECT prefix FROM doomed_prefixes ORDER BY prefix")
    return [row["prefix"] for row in rows if str(UUID(job_id)) in row["prefix"]]
