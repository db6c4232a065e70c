"""Odd bytes in every place end in a problem of the caller's, never in a fault of ours."""

import httpx
import pytest

from tests.integration.gateway.conftest import Caller
from tests.integration.gateway.songs import wav

HALF_A_PAIR = '"\\ud800aaaa1111"'

PATHS = [
    "/v1/jobs/%00",
    "/v1/jobs/%FF%FE",
    "/v1/jobs/{id}/stems/%00",
    "/v1/jobs/{id}/stems/%ED%A0%80",
    "/v1/jobs?status=%00",
    "/v1/jobs?model=%00",
    "/v1/jobs?model=%ED%A0%80",
    "/v1/jobs?cursor=%00",
    "/v1/jobs?limit=1e9",
    "/v1/models/%00",
    "/v1/models/" + "a" * 300,
    "/docs/%2e%2e%2fcore.py",
]


@pytest.mark.parametrize("path", PATHS)
async def test_odd_paths(caller: Caller, path: str) -> None:
    job = await caller.submitted()
    answer = await caller.http.get(path.replace("{id}", job["id"]))
    assert answer.status_code in {200, 404, 409, 422}
    if answer.status_code != 200:
        assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/v1/auth/register", "/v1/auth/token"])
@pytest.mark.parametrize("field", ["email", "password", "full_name"])
async def test_text_that_is_no_text(http: httpx.AsyncClient, path: str, field: str) -> None:
    values = {"email": '"a@example.com"', "password": '"aaaa1111"', "full_name": '"Ada"'}
    values[field] = HALF_A_PAIR
    body = ", ".join(f'"{name}": {value}' for name, value in values.items())
    answer = await http.post(
        path, content=f"{{{body}}}", headers={"Content-Type": "application/json"}
    )
    expected = {401, 422} if path.endswith("token") else {422}
    assert answer.status_code in expected, answer.text


@pytest.mark.parametrize(
    "value", [b"Bearer \xff\xfe", b"Bearer", b"Basic YTpi", b"Bearer " + b"a" * 9_000, b"\x80"]
)
async def test_odd_authorizations(http: httpx.AsyncClient, value: bytes) -> None:
    answer = await http.get("/v1/me", headers={b"Authorization": value})
    assert (answer.status_code, answer.json()["error_code"]) == (401, "invalid_token")


@pytest.mark.parametrize("key", [b"\xff", b"a" * 256, b"", b"a b"])
async def test_odd_idempotency_keys(caller: Caller, key: bytes) -> None:
    answer = await caller.submit(headers={b"Idempotency-Key": key})
    assert (answer.status_code, answer.json()["error_code"]) == (422, "invalid_request")


@pytest.mark.parametrize(
    "disposition",
    [
        b'form-data; name="file"; filename="\xff\xfe.wav"',
        b'form-data; name="file"; filename="a\\"b.wav"',
        b'form-data; name="file"; filename=""',
        b"form-data; name=file; filename=../../etc/passwd",
        b"form-data; name=\"file\"; filename*=UTF-8''%00.wav",
    ],
)
async def test_odd_file_names(caller: Caller, disposition: bytes) -> None:
    body = b"--b\r\nContent-Disposition: " + disposition + b"\r\n\r\n" + wav() + b"\r\n--b--\r\n"
    answer = await caller.http.post(
        "/v1/jobs",
        content=body,
        headers={"Content-Type": "multipart/form-data; boundary=b"},
    )
    assert answer.status_code == 202, answer.text
    name = answer.json()["source"]["name"]
    assert name
    assert name.isprintable()
    assert "/" not in name
