"""Downloads: ranges, names, archives."""

import io
import unicodedata
import zipfile
from typing import Any

import pytest

from stemcore.jobs import JobStatus
from tests.integration.gateway.conftest import Caller, Floor, fresh
from tests.integration.gateway.songs import wav

SONG = bytes(range(256)) * 4
SIZE = len(SONG)


@fresh
async def stem(caller: Caller, floor: Floor) -> str:
    """The address of a stem whose bytes are SONG."""
    job = await caller.submitted(file=("Für Elise.mp3", wav()))
    await floor.start(job["id"])
    await floor.finish(job["id"], drums=SONG, vocals=b"v" * 3_000_000)
    return f"/v1/jobs/{job['id']}/stems/drums"


async def test_a_stem_comes_whole_with_its_name(caller: Caller, stem: str) -> None:
    answer = await caller.http.get(stem)
    assert (answer.status_code, answer.content) == (200, SONG)
    assert answer.headers["Content-Type"] == "audio/wav"
    assert answer.headers["Content-Length"] == str(SIZE)
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["Content-Disposition"] == (
        'attachment; filename="Fur Elise - drums.wav"; '
        "filename*=UTF-8''F%C3%BCr%20Elise%20-%20drums.wav"
    )


RANGES: dict[str, tuple[int, int] | None] = {
    "bytes=0-0": (0, 1),
    "bytes=0-99": (0, 100),
    "bytes=100-": (100, SIZE),
    "bytes=-100": (SIZE - 100, SIZE),
    f"bytes=-{SIZE * 2}": (0, SIZE),
    f"bytes={SIZE - 1}-{SIZE * 2}": (SIZE - 1, SIZE),
    "Bytes=5-5": (5, 6),
    # What is not understood is ignored (RFC 9110, 14.2), as is more than one range.
    "bytes=0-1,4-5": None,
    "bytes=9-3": None,
    "bytes=-": None,
    "seconds=0-1": None,
    "bytes=a-b": None,
}


@pytest.mark.parametrize(("header", "expected"), RANGES.items(), ids=RANGES)
async def test_ranges(
    caller: Caller, stem: str, header: str, expected: tuple[int, int] | None
) -> None:
    answer = await caller.http.get(stem, headers={"Range": header})
    if expected is None:
        assert (answer.status_code, answer.content) == (200, SONG)
        assert "Content-Range" not in answer.headers
    else:
        start, stop = expected
        assert (answer.status_code, answer.content) == (206, SONG[start:stop])
        assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{SIZE}"
        assert answer.headers["Content-Length"] == str(stop - start)


@pytest.mark.parametrize("header", [f"bytes={SIZE}-", f"bytes={SIZE * 9}-{SIZE * 10}", "bytes=-0"])
async def test_a_range_beyond_the_end_is_not_satisfiable(
    caller: Caller, stem: str, header: str
) -> None:
    answer = await caller.http.get(stem, headers={"Range": header})
    assert (answer.status_code, answer.json()["error_code"]) == (416, "range_not_satisfiable")
    assert answer.headers["Content-Range"] == f"bytes */{SIZE}"


async def test_a_range_of_another_version_gets_the_whole_file(caller: Caller, stem: str) -> None:
    etag = (await caller.http.head(stem)).headers["ETag"]
    ours = await caller.http.get(stem, headers={"Range": "bytes=0-9", "If-Range": etag})
    other = await caller.http.get(stem, headers={"Range": "bytes=0-9", "If-Range": '"old"'})
    assert (ours.status_code, ours.content) == (206, SONG[:10])
    assert (other.status_code, other.content) == (200, SONG)


async def test_a_copy_that_is_still_good_is_not_sent_again(caller: Caller, stem: str) -> None:
    etag = (await caller.http.head(stem)).headers["ETag"]
    same = await caller.http.get(stem, headers={"If-None-Match": f'"old", {etag}'})
    other = await caller.http.get(stem, headers={"If-None-Match": '"old"'})
    assert (same.status_code, same.content) == (304, b"")
    assert same.headers["ETag"] == etag
    assert other.status_code == 200


async def test_head_tells_what_get_would(caller: Caller, stem: str) -> None:
    told = ("Content-Length", "ETag", "Content-Type", "Content-Disposition", "Accept-Ranges")
    head, get = await caller.http.head(stem), await caller.http.get(stem)
    assert (head.status_code, head.content) == (200, b"")
    assert [head.headers[name] for name in told] == [get.headers[name] for name in told]


async def test_a_stem_the_job_does_not_have(caller: Caller, stem: str) -> None:
    answer = await caller.http.get(stem.replace("drums", "kazoo"))
    assert (answer.status_code, answer.json()["error_code"]) == (404, "stem_not_found")
    assert answer.json()["details"] == {"stems": ["drums", "vocals"]}


@pytest.mark.parametrize("what", ["stems/drums", "archive"])
async def test_a_job_that_runs_has_nothing_to_download(
    caller: Caller, floor: Floor, what: str
) -> None:
    job = await caller.submitted()
    answer = await caller.http.get(f"/v1/jobs/{job['id']}/{what}")
    assert (answer.status_code, answer.json()["error_code"]) == (409, "job_not_finished")
    await floor.start(job["id"])
    await floor.move(job["id"], JobStatus.FAILED)
    answer = await caller.http.get(f"/v1/jobs/{job['id']}/{what}")
    assert (answer.status_code, answer.json()["error_code"]) == (404, "stem_not_found")


async def test_the_archive_has_the_length_it_says_and_holds_every_stem(
    caller: Caller, stem: str
) -> None:
    async with caller.http.stream("GET", stem.replace("stems/drums", "archive")) as answer:
        raw: Any = [chunk async for chunk in answer.aiter_raw()]
    data = b"".join(raw)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/zip"
    assert answer.headers["Content-Length"] == str(len(data))
    assert "Fur Elise - 2 stems.zip" in answer.headers["Content-Disposition"]
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        names = [unicodedata.normalize("NFC", info.filename) for info in archive.infolist()]
        assert names == ["Für Elise - drums.wav", "Für Elise - vocals.wav"]
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        assert archive.read(archive.infolist()[0]) == SONG


async def test_a_result_that_is_lost_is_an_honest_error(
    caller: Caller, stem: str, floor: Floor
) -> None:
    await floor.store.delete_prefix(f"results/{stem.split('/')[3]}/")
    answer = await caller.http.get(stem)
    assert (answer.status_code, answer.json()["error_code"]) == (404, "not_found")
