"""The client against a server of a few lines, for answers the real one gives seldom."""

import hashlib
import json
from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
import pytest

from stemyard.client import (
    ApiProblem,
    ApiUnreachable,
    DownloadDiffers,
    Job,
    StemFile,
    StemyardClient,
)

CONTENT = b"not really a wav" * 1000


def document(status: str, **changes: object) -> dict[str, object]:
    return {"id": "j1", "status": status, "stage": status, "progress": 0.5, "results": []} | changes


class Script(httpx.AsyncBaseTransport):
    """Gives its answers in turn; an exception among them is raised."""

    def __init__(self) -> None:
        self.answers: list[httpx.Response | Exception] = []
        self.asked: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
async def client(script: Script) -> AsyncGenerator[StemyardClient]:
    async with StemyardClient("http://stemyard", transport=script) as client:
        yield client


async def states(client: StemyardClient) -> list[str]:
    job = Job.of(document("accepted"))
    return [state.status async for state in client.follow(job)]


def events(*numbers: int) -> httpx.Response:
    """A stream that ends after them."""
    frames = [f"event: job.progress\ndata: {{}}\nid: {number}\n\n" for number in numbers]
    return httpx.Response(200, text="".join([": keep-alive\n\n", *frames]))


async def test_following_asks_once_for_each_event(client: StemyardClient, script: Script) -> None:
    queued, running, failed = (
        httpx.Response(200, json=document(status)) for status in ("queued", "running", "failed")
    )
    script.answers = [queued, events(1, 2), running, failed]
    assert await states(client) == ["queued", "running", "failed"]


async def test_following_goes_on_after_the_last_event_when_the_stream_ends(
    client: StemyardClient, script: Script
) -> None:
    queued, running, again, succeeded = (
        httpx.Response(200, json=document(status))
        for status in ("queued", "running", "running", "succeeded")
    )
    script.answers = [queued, events(7), running, again, events(8), succeeded]
    assert await states(client) == ["queued", "running", "running", "succeeded"]
    told = [request.headers.get("Last-Event-ID") for request in script.asked]
    assert told == [None, "0", None, None, "7", None]


async def test_following_ends_where_nothing_more_is_to_come(
    client: StemyardClient, script: Script
) -> None:
    queued, succeeded = (
        httpx.Response(200, json=document(status)) for status in ("queued", "succeeded")
    )
    script.answers = [queued, httpx.Response(204), succeeded]
    assert await states(client) == ["queued", "succeeded"]


async def test_following_bears_a_restart(client: StemyardClient, script: Script) -> None:
    problem = {"error_code": "service_unavailable", "message": "away"}
    script.answers = [
        httpx.ConnectError("refused"),
        httpx.Response(503, json=problem),
        httpx.Response(200, json=document("succeeded")),
    ]
    assert await states(client) == ["succeeded"]


async def test_following_does_not_bear_a_lost_job(client: StemyardClient, script: Script) -> None:
    problem = {"error_code": "job_not_found", "message": "There is no such job."}
    script.answers = [httpx.Response(404, json=problem)]
    with pytest.raises(ApiProblem) as refused:
        await states(client)
    assert (refused.value.status, refused.value.error_code) == (404, "job_not_found")


async def test_an_answer_that_is_no_problem_document_still_makes_sense(
    client: StemyardClient, script: Script
) -> None:
    script.answers = [httpx.Response(502, text="<html>Bad Gateway</html>")]
    with pytest.raises(ApiProblem, match="502 Bad Gateway"):
        await client.job("j1")


async def test_no_answer_is_unreachable(client: StemyardClient, script: Script) -> None:
    script.answers = [httpx.ConnectError("refused")]
    with pytest.raises(ApiUnreachable, match="refused"):
        await client.job("j1")


async def test_a_song_travels_with_model_and_output(
    client: StemyardClient, script: Script, tmp_path: Path
) -> None:
    song = tmp_path / "song.wav"
    song.write_bytes(CONTENT)
    script.answers = [httpx.Response(202, json=document("accepted"))]
    await client.submit(song, model="tiny", output={"bit_depth": 24})
    body = script.asked[0].content
    assert CONTENT in body
    assert b'name="model"\r\n\r\ntiny' in body
    assert json.dumps({"bit_depth": 24}).encode() in body
    assert b"preset" not in body


async def test_a_song_travels_with_its_purpose(
    client: StemyardClient, script: Script, tmp_path: Path
) -> None:
    song = tmp_path / "song.wav"
    song.write_bytes(CONTENT)
    script.answers = [httpx.Response(202, json=document("accepted"))]
    await client.submit(song, preset="karaoke")
    body = script.asked[0].content
    assert b'name="preset"\r\n\r\nkaraoke' in body
    assert b'name="model"' not in body


async def test_presets_tell_what_they_would_take(client: StemyardClient, script: Script) -> None:
    item = {
        "name": "drums",
        "purpose": "The drums alone",
        "description": "Drums.",
        "stems": ["drums"],
        "options": {"added_later": 1},
        "available": True,
        "model": "tiny",
    }
    unavailable = item | {"name": "best", "available": False, "model": None}
    script.answers = [httpx.Response(200, json={"items": [item, unavailable]})]
    drums, best = await client.presets()
    assert (drums.name, drums.stems, drums.model, drums.available) == (
        "drums",
        ("drums",),
        "tiny",
        True,
    )
    assert (best.model, best.available) == (None, False)


async def test_a_download_is_whole_or_not_there(
    client: StemyardClient, script: Script, tmp_path: Path
) -> None:
    digest = hashlib.sha256(CONTENT).hexdigest()
    stem = StemFile(stem="bass", filename="bass.wav", size_bytes=len(CONTENT), sha256=digest)
    script.answers = [httpx.Response(200, content=CONTENT), httpx.Response(200, content=b"?")]
    await client.download(Job.of(document("succeeded")), stem, target=tmp_path / "bass.wav")
    assert (tmp_path / "bass.wav").read_bytes() == CONTENT
    with pytest.raises(DownloadDiffers):
        await client.download(Job.of(document("succeeded")), stem, target=tmp_path / "other.wav")
    assert {path.name for path in tmp_path.iterdir()} == {"bass.wav"}
