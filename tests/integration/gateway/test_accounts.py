"""Registering and signing in."""

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from pydantic import SecretStr

from gateway.composition import Replacements
from gateway.settings import GatewaySettings
from tests.integration.gateway.conftest import Gateway, running_gateway

if TYPE_CHECKING:
    from stemcore.database.pool import Pool

PASSWORD = "correct horse 7 battery"


def account(address: str, **changes: Any) -> dict[str, Any]:
    return {"email": address, "password": PASSWORD, "full_name": "Ada Lovelace", **changes}


async def test_a_new_account_can_sign_in_at_once(http: httpx.AsyncClient) -> None:
    registered = await http.post("/v1/auth/register", json=account("Ada@example.com"))
    assert registered.status_code == 201
    assert "password" not in registered.text

    by_json = {"json": {"email": "ada@EXAMPLE.com", "password": PASSWORD}}
    by_form = {"data": {"username": "ada@example.com", "password": PASSWORD}}
    for body in (by_json, by_form):
        answer = await http.post("/v1/auth/token", **body)
        assert answer.status_code == 200, answer.text
        token = answer.json()
        assert (token["token_type"], token["expires_in"]) == ("bearer", 900)
        me = await http.get("/v1/me", headers={"Authorization": f"Bearer {token['access_token']}"})
        assert me.json() == registered.json()


async def test_an_address_is_taken_whatever_its_case(http: httpx.AsyncClient) -> None:
    bodies = [account("bob@example.com"), account("BOB@example.com")]
    answers = await asyncio.gather(*(http.post("/v1/auth/register", json=body) for body in bodies))
    assert sorted(answer.status_code for answer in answers) == [201, 409]
    refused = next(answer for answer in answers if answer.status_code == 409)
    assert refused.json()["error_code"] == "email_taken"


async def test_a_wrong_address_and_a_wrong_password_look_alike(http: httpx.AsyncClient) -> None:
    await http.post("/v1/auth/register", json=account("carol@example.com"))
    answers = [
        await http.post("/v1/auth/token", json={"email": email, "password": password})
        for email, password in (
            ("carol@example.com", "wrong"),
            ("nobody@example.com", PASSWORD),
            ("", ""),
        )
    ]
    for answer in answers:
        problem = answer.json()
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert problem["error_code"] == "invalid_credentials"
        assert problem["message"] == answers[0].json()["message"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"email": "no address"}, "invalid_request"),
        ({"email": None}, "invalid_request"),
        ({"full_name": " "}, "invalid_request"),
        ({"full_name": "a\x00b"}, "invalid_request"),
        ({"plan": "unlimited"}, "invalid_request"),
        ({"password": "short1"}, "weak_password"),
        ({"password": "onlyletters"}, "weak_password"),
        ({"password": "1234567890"}, "weak_password"),
        ({"password": "a1" * 100}, "weak_password"),
        ({"password": "dave7@example.com"}, "weak_password"),
    ],
)
async def test_a_bad_registration_is_refused(
    http: httpx.AsyncClient, change: dict[str, Any], code: str
) -> None:
    answer = await http.post("/v1/auth/register", json=account("dave7@example.com", **change))
    assert (answer.status_code, answer.json()["error_code"]) == (422, code)


async def test_what_was_sent_is_never_echoed(http: httpx.AsyncClient) -> None:
    body = account("no address", password="hunter2 hunter2")
    answer = await http.post("/v1/auth/register", json=body)
    assert answer.status_code == 422
    assert "hunter2" not in answer.text


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("text/plain", b"email=a", 415),
        ("application/json", b"{", 422),
        ("application/json", b'{"email": "a@example.com"}', 422),
        ("application/x-www-form-urlencoded", b"username=a", 422),
        ("application/x-www-form-urlencoded", b"grant_type=magic&username=a&password=b", 422),
        ("application/json", b'{"email": "a@example.com\\u0000", "password": "b"}', 422),
        ("application/json", b" " * 70_000, 413),
    ],
)
async def test_a_bad_sign_in_is_refused(
    http: httpx.AsyncClient, content_type: str, body: bytes, status: int
) -> None:
    answer = await http.post("/v1/auth/token", content=body, headers={"Content-Type": content_type})
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"


async def test_the_demo_account_exists_where_it_is_wanted(
    settings: GatewaySettings, replacements: Replacements
) -> None:
    settings = settings.model_copy(update={"demo_account": True})
    # The second start finds the account there.
    for _ in range(2):
        async with running_gateway(settings, instead=replacements) as gateway:
            await _demo_account_is_there(gateway)


async def test_the_demo_account_waits_for_the_database_to_be_migrated(
    settings: GatewaySettings, replacements: Replacements, pool: "Pool"
) -> None:
    await pool.execute("CREATE DATABASE unmigrated")
    dsn = settings.database.dsn.get_secret_value().replace("/postgres?", "/unmigrated?")
    database = settings.database.model_copy(update={"dsn": SecretStr(dsn)})
    settings = settings.model_copy(update={"demo_account": True, "database": database})
    try:
        async with running_gateway(settings, instead=replacements) as gateway:
            async with httpx.AsyncClient(base_url=gateway.address) as http:
                ready = await http.get("/healthz/ready")
            assert ready.json()["details"]["missing"] == {
                "database": "The database has not been migrated."
            }
            await _migrate(dsn)
            await _demo_account_is_there(gateway)
            assert not gateway.lifetime.failed
    finally:
        await pool.execute("DROP DATABASE unmigrated WITH (FORCE)")


async def _migrate(dsn: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "stemcore.database.migrate",
        cwd=Path(__file__).parents[3],
        env={**os.environ, "STEMYARD_DSN": dsn},
    )
    assert await process.wait() == 0


async def _demo_account_is_there(gateway: Gateway) -> None:
    demo = {"email": "test@example.com", "password": "password123"}
    async with httpx.AsyncClient(base_url=gateway.address) as http, asyncio.timeout(30):
        while (await http.post("/v1/auth/token", json=demo)).status_code != 200:
            pass
