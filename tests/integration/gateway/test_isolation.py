"""Made from the routing table: who may ask for what. A new route must be put into a class here."""

from collections.abc import Iterator
from time import time
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi.routing import iter_route_contexts
from joserfc import jwt
from joserfc.jwk import OctKey

from gateway.accounts.tokens import ALGORITHM, TOKEN_TYPE, AccessTokens
from gateway.app import create_app
from gateway.lifetime import Lifetime
from gateway.settings import AuthSettings, GatewaySettings
from tests.integration.gateway.conftest import SECRET, Caller, Floor, Gateway, SignUp

PUBLIC = {
    ("GET", "/"),
    ("GET", "/docs"),
    ("GET", "/docs/start.js"),
    ("GET", "/docs/{asset}"),
    ("GET", "/openapi.json"),
    ("HEAD", "/openapi.json"),
    ("POST", "/v1/auth/register"),
    ("POST", "/v1/auth/token"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/{name}"),
    ("GET", "/v1/health"),
    ("GET", "/healthz/live"),
    ("GET", "/healthz/ready"),
}
OWN_ACCOUNT = {("GET", "/v1/me"), ("GET", "/v1/jobs"), ("POST", "/v1/jobs")}
OWN_JOB = {
    ("GET", "/v1/jobs/{job_id}"),
    ("DELETE", "/v1/jobs/{job_id}"),
    ("POST", "/v1/jobs/{job_id}/cancel"),
    ("GET", "/v1/jobs/{job_id}/events"),
    ("GET", "/v1/jobs/{job_id}/stems/{stem}"),
    ("HEAD", "/v1/jobs/{job_id}/stems/{stem}"),
    ("GET", "/v1/jobs/{job_id}/archive"),
}


def routes() -> Iterator[tuple[str, str]]:
    settings = GatewaySettings.model_validate(
        {"database": {"dsn": "x"}, "storage": {"root": "x"}, "auth": {"secret": SECRET}}
    )
    app = create_app(settings, lifetime=Lifetime())
    for route in iter_route_contexts(app.routes):
        for method in sorted(route.methods or ()):
            yield method, str(route.path)


ALL = sorted(set(routes()))
PROTECTED = [route for route in ALL if route not in PUBLIC]


def signed(**changes: Any) -> str:
    now = int(time())
    claims = {
        "iss": "stemyard",
        "aud": "stemyard-api",
        "sub": str(uuid4()),
        "iat": now,
        "exp": now + 900,
    }
    header = {"alg": ALGORITHM, "typ": changes.pop("typ", TOKEN_TYPE)}
    key = OctKey.import_key(changes.pop("secret", SECRET))
    kept = {name: value for name, value in (claims | changes).items() if value is not None}
    return jwt.encode(header, kept, key)


BAD_TOKENS = {
    "none": (None, "invalid_token"),
    "garbage": ("garbage", "invalid_token"),
    "unsigned": ("eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.", "invalid_token"),
    "another secret": (signed(secret="another secret of thirty-two characters"), "invalid_token"),
    "another audience": (signed(aud="another-api"), "invalid_token"),
    "another issuer": (signed(iss="another"), "invalid_token"),
    "another type": (signed(typ="refresh"), "invalid_token"),
    "without end": (signed(exp=None), "invalid_token"),
    "subject no id": (signed(sub="root"), "invalid_token"),
    "account is gone": (signed(), "invalid_token"),
    "expired": (signed(exp=int(time()) - 60), "token_expired"),
}


def test_every_route_is_in_one_class() -> None:
    assert set(ALL) == PUBLIC | OWN_ACCOUNT | OWN_JOB
    assert len(PUBLIC) + len(OWN_ACCOUNT) + len(OWN_JOB) == len(ALL)


def test_every_route_of_a_job_is_tried() -> None:
    assert {route for route in ALL if "{job_id}" in route[1]} == OWN_JOB


@pytest.mark.parametrize(("method", "path"), PROTECTED, ids=[" ".join(r) for r in PROTECTED])
async def test_without_a_valid_token_there_is_no_way_in(
    http: httpx.AsyncClient, caller: Caller, method: str, path: str
) -> None:
    job = await caller.submitted()
    for name, (token, code) in BAD_TOKENS.items():
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        answer = await http.request(method, _filled(path, job["id"]), headers=headers)
        assert answer.status_code == 401, name
        assert answer.headers["WWW-Authenticate"] == "Bearer", name
        if method != "HEAD":
            assert answer.json()["error_code"] == code, name
    assert (await caller.http.get(f"/v1/jobs/{job['id']}")).json()["status"] == "accepted"


@pytest.mark.parametrize(("method", "path"), sorted(OWN_JOB), ids=str)
@pytest.mark.parametrize("finished", [False, True], ids=["waiting", "finished"])
async def test_a_strangers_job_does_not_exist(
    caller: Caller, sign_up: SignUp, floor: Floor, method: str, path: str, finished: bool
) -> None:
    job = await caller.submitted()
    if finished:
        await floor.start(job["id"])
        await floor.finish(job["id"], drums=b"d")
    stranger = await sign_up()
    theirs = await stranger.http.request(method, _filled(path, job["id"]))
    nobodys = await stranger.http.request(method, _filled(path, str(uuid4())))
    malformed = await stranger.http.request(method, _filled(path, "1"))
    assert theirs.status_code == nobodys.status_code == malformed.status_code == 404
    if method != "HEAD":
        codes = {answer.json()["error_code"] for answer in (theirs, nobodys, malformed)}
        assert codes == {"job_not_found"}
    status = (await caller.http.get(f"/v1/jobs/{job['id']}")).json()["status"]
    assert status == ("succeeded" if finished else "accepted")


async def test_lists_hold_the_callers_own_jobs_alone(caller: Caller, sign_up: SignUp) -> None:
    await caller.submitted()
    stranger = await sign_up()
    assert (await stranger.http.get("/v1/jobs")).json()["items"] == []


async def test_a_token_of_another_deployment_is_worth_nothing(
    http: httpx.AsyncClient, caller: Caller, gateway: Gateway
) -> None:
    other = AuthSettings.model_validate({"secret": SECRET, "audience": "other"})
    token = AccessTokens(other).issue(caller.account_id).value
    answer = await http.get("/v1/me", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401


def _filled(path: str, job_id: str) -> str:
    return path.format(job_id=job_id, stem="drums")
