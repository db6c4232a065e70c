"""Each wrong submission has a code of its own, comes back soon, and leaves nothing behind."""

import asyncio
import json
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.integration.gateway.conftest import Caller, Gateway
from tests.integration.gateway.songs import noise, wav, wav_of

if TYPE_CHECKING:
    from stemcore.database.pool import Pool

DEADLINE_S = 5.0
TEXT = b"These are words, not music.\n" * 40
FFCONCAT = b"ffconcat version 1.0\nfile '/etc/passwd'\n"
M3U8 = b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:1/a.ts\n"

BAD_FILES = {
    "empty": ("song.mp3", b"", 422, "empty_file"),
    "text": ("song.mp3", TEXT, 415, "unsupported_format"),
    "pdf": ("song.wav", b"%PDF-1.7\n" + noise(2_000), 415, "unsupported_format"),
    "ffconcat": ("song.mp3", FFCONCAT, 422, "playlist_not_allowed"),
    "m3u8": ("song.mp3", M3U8, 422, "playlist_not_allowed"),
    "no samples": ("song.wav", wav_of(b""), 422, "no_samples"),
    "too large": ("song.wav", wav(seconds=300), 413, "file_too_large"),
    "too long": ("song.wav", wav(seconds=200), 422, "audio_too_long"),
}

BAD_FIELDS = {
    "unknown model": ({"model": "nonesuch"}, "unknown_model"),
    "refused model": ({"model": "unproven"}, "model_refused"),
    "unknown stem": ({"stems": "drums,kazoo"}, "unknown_stem"),
    "stem of another model": ({"model": "two-stems", "stems": "drums"}, "unknown_stem"),
    "unknown field": ({"quality": "best"}, "invalid_request"),
    "overlap of text": ({"overlap": "much"}, "invalid_request"),
    "overlap too large": ({"overlap": "0.99"}, "invalid_request"),
    "overlap not finite": ({"overlap": "nan"}, "invalid_request"),
    "shifts": ({"shifts": "11"}, "invalid_request"),
    "shifts no number": ({"shifts": "many"}, "invalid_request"),
    "seed": ({"seed": "-1"}, "invalid_request"),
    "complement": ({"complement": "divide"}, "invalid_request"),
    "consistency": ({"consistency": "mostly"}, "invalid_request"),
    "one complement twice": ({"stems": "no_vocals,instrumental"}, "invalid_request"),
    "complement of no stem": ({"stems": "no_kazoo"}, "unknown_stem"),
    "clip": ({"clip": "gently"}, "invalid_request"),
    "clip none for integers": ({"clip": "none"}, "invalid_request"),
    "bit depth": ({"output.bit_depth": "20"}, "invalid_request"),
    "float flac": ({"output": '{"format": "flac", "bit_depth": 32}'}, "invalid_request"),
    "sample rate": ({"output.sample_rate": "1"}, "invalid_request"),
    "output no JSON": ({"output": "wav"}, "invalid_request"),
    "output a list": ({"output": "[]"}, "invalid_request"),
    "output twice": ({"output": '{"format": "wav"}', "output.format": "wav"}, "invalid_request"),
    "metadata no JSON": ({"metadata": "{"}, "invalid_request"),
    "metadata no object": ({"metadata": "[1]"}, "invalid_request"),
    "metadata deep": ({"metadata": '{"a":' * 40 + "1" + "}" * 40}, "invalid_request"),
    "metadata very deep": ({"metadata": '{"a":' * 9_000 + "1"}, "invalid_request"),
    "metadata large": ({"metadata": json.dumps({"a": "b" * 20_000})}, "invalid_request"),
    "metadata with NUL": ({"metadata": '{"a": "\\u0000"}'}, "invalid_request"),
    "metadata half a pair": ({"metadata": '{"a": "\\ud800"}'}, "invalid_request"),
    "metadata not a number": ({"metadata": '{"a": NaN}'}, "invalid_request"),
    "priority": ({"priority": "9999"}, "invalid_request"),
    "long field": ({"model": "a" * 70_000}, "invalid_request"),
    "model with NUL": ({"model": "a\x00b"}, "invalid_request"),
}


@pytest.mark.parametrize(("name", "data", "status", "code"), BAD_FILES.values(), ids=BAD_FILES)
async def test_a_bad_file_is_refused(
    caller: Caller,
    gateway: Gateway,
    pool: "Pool",
    name: str,
    data: bytes,
    status: int,
    code: str,
) -> None:
    await _refused(caller, gateway, pool, status=status, code=code, file=(name, data))


async def test_noise_named_flac_is_refused(caller: Caller, gateway: Gateway, pool: "Pool") -> None:
    file = ("song.flac", noise(200_000))
    answer = await _refused(caller, gateway, pool, status=None, code=None, file=file)
    assert answer["error_code"] in {"unreadable_audio", "unsupported_format"}


@pytest.mark.parametrize(("fields", "code"), BAD_FIELDS.values(), ids=BAD_FIELDS)
async def test_a_bad_field_is_refused(
    caller: Caller, gateway: Gateway, pool: "Pool", fields: dict[str, str], code: str
) -> None:
    answer = await _refused(caller, gateway, pool, status=422, code=code, **fields)
    assert answer["details"]


async def test_what_there_is_instead_is_named(caller: Caller) -> None:
    model = (await caller.submit(model="nonesuch")).json()
    stem = (await caller.submit(stems="kazoo")).json()
    assert model["details"]["models"] == ["stemyard-mini", "two-stems"]
    assert stem["details"]["stems"] == ["drums", "bass", "other", "vocals"]


BAD_BODIES: dict[str, tuple[str, bytes, int, str]] = {
    "json": ("application/json", b'{"source": {"url": "x"}}', 415, "unsupported_media_type"),
    "no type": ("", b"song", 415, "unsupported_media_type"),
    "no boundary": ("multipart/form-data", b"--b--\r\n", 422, "invalid_request"),
    "breaks off": (
        "multipart/form-data; boundary=b",
        b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nRIFF',
        422,
        "invalid_request",
    ),
    "not a form": ("multipart/form-data; boundary=b", b"hello", 422, "invalid_request"),
    "no file": (
        "multipart/form-data; boundary=b",
        b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nx\r\n--b--\r\n',
        422,
        "invalid_request",
    ),
    "two files": (
        "multipart/form-data; boundary=b",
        b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nx\r\n' * 2 + b"--b--\r\n",
        422,
        "invalid_request",
    ),
    "no name": (
        "multipart/form-data; boundary=b",
        b"--b\r\nContent-Type: audio/wav\r\n\r\nx\r\n--b--\r\n",
        422,
        "invalid_request",
    ),
    "many fields": (
        "multipart/form-data; boundary=b",
        b'--b\r\nContent-Disposition: form-data; name="stems"\r\n\r\nx\r\n' * 100 + b"--b--\r\n",
        422,
        "invalid_request",
    ),
}


@pytest.mark.parametrize(
    ("content_type", "body", "status", "code"), BAD_BODIES.values(), ids=BAD_BODIES
)
async def test_a_bad_body_is_refused(
    caller: Caller,
    gateway: Gateway,
    pool: "Pool",
    content_type: str,
    body: bytes,
    status: int,
    code: str,
) -> None:
    before = gateway.stored_files()
    answer = await caller.http.post(
        "/v1/jobs", content=body, headers={"Content-Type": content_type}
    )
    assert (answer.status_code, answer.json()["error_code"]) == (status, code)
    await _nothing_is_left(caller, gateway, pool, before=before)


async def test_a_body_announced_as_too_large_is_refused_unread(
    caller: Caller, gateway: Gateway
) -> None:
    url = httpx.URL(gateway.address)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    head = (
        f"POST /v1/jobs HTTP/1.1\r\nHost: {url.host}\r\nContent-Length: {10 << 40}\r\n"
        f"Authorization: {caller.http.headers['Authorization']}\r\n"
        "Expect: 100-continue\r\nContent-Type: multipart/form-data; boundary=b\r\n\r\n"
    )
    writer.write(head.encode())
    async with asyncio.timeout(DEADLINE_S):
        status_line = await reader.readline()
    writer.close()
    assert status_line.split()[1] == b"413"


async def _refused(
    caller: Caller,
    gateway: Gateway,
    pool: "Pool",
    *,
    status: int | None,
    code: str | None,
    **fields: Any,
) -> dict[str, Any]:
    before, began = gateway.stored_files(), monotonic()
    answer = await caller.submit(**fields)
    assert monotonic() - began < DEADLINE_S
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    if code is not None:
        assert (answer.status_code, problem["error_code"]) == (status, code), problem
    assert answer.status_code in {413, 415, 422}
    await _nothing_is_left(caller, gateway, pool, before=before)
    return problem


async def _nothing_is_left(
    caller: Caller, gateway: Gateway, pool: "Pool", *, before: list[Path]
) -> None:
    assert gateway.stored_files() == before
    count = "SELECT count(*) FROM jobs WHERE account_id = $1"
    assert await pool.fetchval(count, caller.account_id) == 0
