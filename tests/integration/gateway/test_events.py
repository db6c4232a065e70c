"""The event stream: numbered, resumable, ending with the run."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any
from uuid import UUID

import httpx
import pytest

from gateway.events import service
from gateway.events.repository import EventRepository
from gateway.events.service import EventService
from gateway.settings import GatewaySettings
from stemcore.database.notifications import Notifications
from stemcore.jobs import JobStatus
from tests.integration.gateway.conftest import Caller, Floor

if TYPE_CHECKING:
    from stemcore.database.pool import Pool

PATIENCE_S = 30


async def events_of(answer: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    """Parsed events; comments are left out."""
    fields: dict[str, str] = {}
    async for line in answer.aiter_lines():
        if not line:
            if fields:
                yield {**fields, "data": json.loads(fields["data"])}
            fields = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value


async def test_a_stream_tells_everything_in_order_and_ends(caller: Caller, floor: Floor) -> None:
    job = await caller.submitted()
    seen = []
    async with (
        asyncio.timeout(PATIENCE_S),
        caller.http.stream("GET", f"/v1/jobs/{job['id']}/events") as answer,
    ):
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        events = events_of(answer)
        seen.append(await anext(events))
        await floor.start(job["id"])
        await floor.report(job["id"], 0.5)
        await floor.finish(job["id"], drums=b"d")
        seen.extend([event async for event in events])
    assert [(event["id"], event["event"]) for event in seen] == [
        ("1", "job.accepted"),
        ("2", "job.queued"),
        ("3", "job.running"),
        ("4", "job.progress"),
        ("5", "job.succeeded"),
    ]
    progress = seen[3]["data"]
    assert (progress["progress"], progress["stage"]) == (0.5, "inference")
    assert (progress["seq"], progress["job_id"]) == (4, job["id"])
    assert progress["at"].endswith("Z")


async def test_a_change_is_told_at_once(
    caller: Caller, floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So that nothing but the notification can bring it.
    monkeypatch.setattr(service, "POLL_S", 10 * PATIENCE_S)
    job = await caller.submitted()
    async with caller.http.stream("GET", f"/v1/jobs/{job['id']}/events") as answer:
        events = events_of(answer)
        await anext(events)
        await floor.move(job["id"], JobStatus.QUEUED)
        async with asyncio.timeout(PATIENCE_S):
            assert (await anext(events))["event"] == "job.queued"


async def test_a_stream_goes_on_after_the_last_event_seen(caller: Caller, floor: Floor) -> None:
    job = await caller.submitted()
    await floor.start(job["id"])
    await floor.finish(job["id"], drums=b"d")
    path = f"/v1/jobs/{job['id']}/events"
    async with asyncio.timeout(PATIENCE_S):
        answer = await caller.http.get(path, headers={"Last-Event-ID": "2"})
        ended = await caller.http.get(path, headers={"Last-Event-ID": "4"})
    assert [line for line in answer.text.splitlines() if line.startswith("id: ")] == [
        "id: 3",
        "id: 4",
    ]
    assert (ended.status_code, ended.content) == (204, b"")


@pytest.mark.parametrize("wrong", ["-1", "x", "99999999999"])
async def test_a_wrong_last_event_id_is_refused(caller: Caller, wrong: str) -> None:
    job = await caller.submitted()
    answer = await caller.http.get(f"/v1/jobs/{job['id']}/events", headers={"Last-Event-ID": wrong})
    assert (answer.status_code, answer.json()["error_code"]) == (422, "invalid_request")


async def test_a_stream_ends_when_its_job_is_deleted(caller: Caller) -> None:
    job = await caller.submitted()
    async with (
        asyncio.timeout(PATIENCE_S),
        caller.http.stream("GET", f"/v1/jobs/{job['id']}/events") as answer,
    ):
        events = events_of(answer)
        await anext(events)
        await caller.http.delete(f"/v1/jobs/{job['id']}")
        assert [event["event"] async for event in events] in ([], ["job.cancelled"])


async def test_a_stream_ends_when_the_process_stops(
    caller: Caller, pool: "Pool", settings: GatewaySettings
) -> None:
    job = await caller.submitted()
    stopping = asyncio.Event()
    following = _service(pool, settings, stopping=stopping).follow(
        caller.account_id, UUID(job["id"]), after=1
    )
    async with asyncio.timeout(PATIENCE_S):
        silence = asyncio.ensure_future(anext(following, "the end"))
        stopping.set()
        assert await silence == "the end"


async def test_silence_is_broken_by_signs_of_life(
    caller: Caller, pool: "Pool", settings: GatewaySettings
) -> None:
    job = await caller.submitted()
    following = _service(pool, settings, keepalive_s=0.05).follow(
        caller.account_id, UUID(job["id"]), after=1
    )
    async with asyncio.timeout(PATIENCE_S):
        assert await anext(following) is None
        assert await anext(following) is None
    await following.aclose()


def _service(
    pool: "Pool",
    settings: GatewaySettings,
    *,
    stopping: asyncio.Event | None = None,
    keepalive_s: float = 60,
) -> EventService:
    return EventService(
        EventRepository(pool),
        notifications=Notifications(settings.database),
        stopping=stopping or asyncio.Event(),
        keepalive_s=keepalive_s,
    )
