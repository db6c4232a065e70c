"""Made from the routing table: every stranger at every door."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import httpx
import pytest

from gateway.accounts.tokens import AccessTokens
from gateway.app import create_app
from gateway.lifetime import Lifetime
from gateway.settings import AuthSettings, GatewaySettings
from tests.integration.gateway.access import ACCESS, Access, Route, routes_of, routes_with
from tests.integration.gateway.conftest import SECRET, Caller, Floor, Gateway, SignUp
from tests.integration.gateway.songs import wav
from tests.integration.gateway.strangers import Stranger, signed, strangers_to

OWN_OBJECT = routes_with(Access.OWN_OBJECT)
PROTECTED = [route for route, access in ACCESS.items() if access is not Access.PUBLIC]
# A door that is closed says nothing more to who asks for a part, or claims to have it already.
CONDITIONS: Mapping[str, Mapping[str, str]] = {
    "plainly": {},
    "for a range": {"Range": "bytes=0-0"},
    "as a cache": {"If-None-Match": "*"},
    "from an event on": {"Last-Event-ID": "1"},
}


def named(routes: list[Route]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("method", "path"), routes, ids=[" ".join(r) for r in routes])


def filled(path: str, job_id: str) -> str:
    return path.format(job_id=job_id, stem="drums", name="stemyard-mini", asset="favicon.png")


def test_every_route_is_classified() -> None:
    settings = GatewaySettings.model_validate(
        {"database": {"dsn": "x"}, "storage": {"root": "x"}, "auth": {"secret": SECRET}}
    )
    app = create_app(settings, lifetime=Lifetime())
    assert set(routes_of(app)) == set(ACCESS)


def test_whatever_is_named_by_an_id_is_somebodys_own() -> None:
    assert {route for route in ACCESS if "_id}" in route[1]} == set(OWN_OBJECT)


@named(PROTECTED)
async def test_without_a_valid_token_there_is_no_way_in(
    http: httpx.AsyncClient, caller: Caller, gateway: Gateway, method: str, path: str
) -> None:
    job = await caller.submitted()
    before = await seen_by(caller, job), gateway.stored_files()
    for name, stranger in strangers_to(caller.account_id).items():
        answer = await http.request(method, filled(path, job["id"]), headers=stranger.headers)
        assert_refused(answer, stranger, name)
    assert (await seen_by(caller, job), gateway.stored_files()) == before


@named(PROTECTED)
async def test_the_token_of_a_deleted_account_opens_nothing(
    http: httpx.AsyncClient, floor: Floor, sign_up: SignUp, method: str, path: str
) -> None:
    gone = await sign_up()
    job = await gone.submitted()
    await floor.pool.execute("DELETE FROM accounts WHERE id = $1", gone.account_id)
    stranger = Stranger(authorization=f"Bearer {signed(gone.account_id)}")
    answer = await http.request(method, filled(path, job["id"]), headers=stranger.headers)
    assert_refused(answer, stranger, "deleted account")


async def test_the_tokens_of_strangers_differ_from_a_good_one_by_their_fault_alone(
    http: httpx.AsyncClient, caller: Caller
) -> None:
    headers = {"Authorization": f"Bearer {signed(caller.account_id)}"}
    assert (await http.get("/v1/me", headers=headers)).status_code == 200


@named(routes_with(Access.PUBLIC))
async def test_a_public_route_says_the_same_to_everyone(
    http: httpx.AsyncClient, caller: Caller, method: str, path: str
) -> None:
    job = await caller.submitted()
    strangers = strangers_to(caller.account_id)
    anonymous = await http.request(method, filled(path, job["id"]))
    assert anonymous.status_code not in (401, 403, 500)
    for name, stranger in strangers.items():
        answer = await http.request(method, filled(path, job["id"]), headers=stranger.headers)
        assert answer.status_code == anonymous.status_code, name
        assert_tells_nothing_of(caller, job, answer)


@named(OWN_OBJECT)
@pytest.mark.parametrize("finished", [False, True], ids=["waiting", "finished"])
async def test_a_strangers_job_does_not_exist(
    caller: Caller,
    sign_up: SignUp,
    floor: Floor,
    gateway: Gateway,
    method: str,
    path: str,
    finished: bool,
) -> None:
    job = await caller.submitted()
    if finished:
        await floor.start(job["id"])
        await floor.finish(job["id"], drums=b"d")
    before = await seen_by(caller, job), gateway.stored_files()
    stranger = await sign_up()
    for headers in CONDITIONS.values():
        answers = [
            await stranger.http.request(method, filled(path, job_id), headers=headers)
            for job_id in (job["id"], str(uuid4()), "1")
        ]
        assert {answer.status_code for answer in answers} == {404}
        if method != "HEAD":
            assert {answer.json()["error_code"] for answer in answers} == {"job_not_found"}
    assert (await seen_by(caller, job), gateway.stored_files()) == before


@named(routes_with(Access.OWN_ACCOUNT))
async def test_an_account_hears_of_itself_alone(
    caller: Caller, sign_up: SignUp, method: str, path: str
) -> None:
    job = await caller.submitted()
    stranger = await sign_up()
    answer = await stranger.http.request(
        method, path, params={"account_id": str(caller.account_id)}
    )
    assert answer.status_code not in (401, 403, 500)
    assert_tells_nothing_of(caller, job, answer)


@pytest.mark.parametrize("status", [None, "accepted"])
@pytest.mark.parametrize("model", [None, "stemyard-mini"])
async def test_lists_hold_the_callers_own_jobs_alone(
    caller: Caller, sign_up: SignUp, status: str | None, model: str | None
) -> None:
    stranger = await sign_up()
    for _ in range(2):
        await caller.submitted()
    asked = {"status": status, "model": model, "limit": 1}
    wanted = {name: value for name, value in asked.items() if value is not None}
    page = (await caller.http.get("/v1/jobs", params=wanted)).json()
    assert len(page["items"]) == 1
    for cursor in ({}, {"cursor": page["next_cursor"]}):
        theirs = await stranger.http.get("/v1/jobs", params=wanted | cursor)
        assert theirs.json()["items"] == []


async def test_another_accounts_idempotency_key_replays_nothing(
    caller: Caller, sign_up: SignUp
) -> None:
    key = {"Idempotency-Key": "the-same"}
    song = ("song.wav", wav())
    first = await caller.submitted(file=song, headers=key)
    stranger = await sign_up()
    second = await stranger.submitted(file=song, headers=key)
    assert second["id"] != first["id"]


async def test_a_token_of_another_deployment_is_worth_nothing(
    http: httpx.AsyncClient, caller: Caller
) -> None:
    other = AuthSettings.model_validate({"secret": SECRET, "audience": "other"})
    token = AccessTokens(other).issue(caller.account_id).value
    answer = await http.get("/v1/me", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401


async def seen_by(caller: Caller, job: Mapping[str, Any]) -> dict[str, Any]:
    """The owner's view, but for what other tests' jobs move."""
    answer = await caller.http.get(f"/v1/jobs/{job['id']}")
    return answer.json() | {"queue_position": None}


def assert_refused(answer: httpx.Response, stranger: Stranger, name: str) -> None:
    assert answer.status_code == 401, name
    assert answer.headers["WWW-Authenticate"] == "Bearer", name
    if answer.request.method != "HEAD":
        assert answer.json()["error_code"] == stranger.code, name


def assert_tells_nothing_of(caller: Caller, job: Mapping[str, Any], answer: httpx.Response) -> None:
    for secret in (str(caller.account_id), job["id"]):
        assert secret not in answer.text
