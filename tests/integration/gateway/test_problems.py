"""Errors that no route foresaw, headers, ids, and the log."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx
import pytest
import structlog

from gateway.composition import Replacements
from gateway.settings import GatewaySettings
from stemcore.catalogue.port import ServedModel
from stemcore.errors import ErrorCode, Unavailable
from tests.integration.gateway.conftest import MODELS, Caller, running_gateway, signed_in

FIELDS = {
    "type",
    "title",
    "status",
    "detail",
    "instance",
    "error_code",
    "message",
    "details",
    "request_id",
}


@pytest.fixture
def logs() -> Iterator[list[dict[str, object]]]:
    with structlog.testing.capture_logs() as entries:
        yield entries  # type: ignore[misc]


@dataclass(slots=True)
class FickleCatalogue:
    """A catalogue that does as it is told."""

    error: Exception | None = None
    asked: int = field(default=0)

    async def models(self) -> tuple[ServedModel, ...]:
        self.asked += 1
        if self.error:
            raise self.error
        return MODELS


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v2/jobs", 404, "not_found"),
        ("GET", "/v1/jobs/", 404, "not_found"),
        ("GET", "/docs/../etc/passwd", 404, "not_found"),
        ("GET", "/docs/redoc.standalone.js", 404, "not_found"),
        ("PUT", "/v1/me", 405, "method_not_allowed"),
        ("GET", "/v1/models/nonesuch", 404, "model_not_found"),
        ("POST", "/v1/auth/register", 422, "invalid_request"),
    ],
)
async def test_every_error_is_a_whole_problem(
    http: httpx.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    answer = await http.request(method, path)
    problem = answer.json()
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (answer.status_code, problem["error_code"]) == (status, code)
    assert set(problem) == FIELDS
    assert problem["status"] == status
    assert problem["type"] == f"urn:stemyard:error:{code}"
    assert problem["request_id"] == answer.headers["X-Request-ID"]
    assert problem["instance"] == httpx.URL(path).path or ".." in path


async def test_our_own_faults_tell_nothing_but_an_id(
    settings: GatewaySettings, logs: list[dict[str, object]]
) -> None:
    catalogue = FickleCatalogue(error=RuntimeError("hunter2 is the secret"))
    async with (
        running_gateway(settings, instead=Replacements(catalogue=catalogue)) as gateway,
        httpx.AsyncClient(base_url=gateway.address) as http,
    ):
        answer = await http.get("/v1/models")
    assert (answer.status_code, answer.json()["error_code"]) == (500, "internal_error")
    assert "hunter2" not in answer.text
    assert "secret" not in answer.text
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    (failure,) = (entry for entry in logs if entry["event"] == "request_failed")
    assert isinstance(failure["exc_info"], RuntimeError)


async def test_a_song_is_accepted_while_the_engine_is_away_if_its_model_was_known(
    settings: GatewaySettings, caller: Caller
) -> None:
    away = Unavailable(ErrorCode.ENGINE_UNAVAILABLE, "The inference server does not answer.")
    catalogue = FickleCatalogue(error=away)
    async with (
        running_gateway(settings, instead=Replacements(catalogue=catalogue)) as gateway,
        signed_in(gateway, caller.account_id) as ours,
    ):
        early = await ours.submit()
        assert (early.status_code, early.json()["error_code"]) == (503, "engine_unavailable")
        assert early.headers["Retry-After"].isdecimal()
        catalogue.error = None
        assert (await ours.http.get("/healthz/ready")).status_code == 200
        catalogue.error = away
        assert (await ours.http.get("/healthz/ready")).status_code == 503
        assert (await ours.submit()).status_code == 202


async def test_a_sane_request_id_is_kept_and_another_replaced(http: httpx.AsyncClient) -> None:
    kept = await http.get("/healthz/live", headers={"X-Request-ID": "abc-123"})
    odd = await http.get("/healthz/live", headers={"X-Request-ID": "a b\tc"})
    assert kept.headers["X-Request-ID"] == "abc-123"
    assert len(odd.headers["X-Request-ID"]) == 32


async def test_each_request_is_logged_once_without_its_query(
    http: httpx.AsyncClient, logs: list[dict[str, object]]
) -> None:
    await http.get("/v1/models/stemyard-mini?token=hidden")
    await http.get("/healthz/live")
    (entry,) = (entry for entry in logs if entry["event"] == "http_request")
    assert entry["status"] == 200
    assert entry["route"] == "/v1/models/{name}"
    assert entry["path"] == "/v1/models/stemyard-mini"
    assert "hidden" not in repr(entry)


async def test_every_answer_carries_the_security_headers(http: httpx.AsyncClient) -> None:
    for path in ("/healthz/live", "/nowhere", "/docs"):
        headers = (await http.get(path)).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "Access-Control-Allow-Origin" not in headers


async def test_other_origins_are_let_in_only_where_they_are_named(
    settings: GatewaySettings, replacements: Replacements
) -> None:
    ours = {"Origin": "https://app.example.com"}
    http_settings = settings.http.model_copy(update={"cors_origins": (ours["Origin"],)})
    settings = settings.model_copy(update={"http": http_settings})
    async with (
        running_gateway(settings, instead=replacements) as gateway,
        httpx.AsyncClient(base_url=gateway.address) as http,
    ):
        named = await http.get("/v1/models", headers=ours)
        other = await http.get("/v1/models", headers={"Origin": "https://evil.example.com"})
        asked = await http.options(
            "/v1/jobs",
            headers=ours
            | {
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization, idempotency-key, x-request-id",
            },
        )
    assert named.headers["Access-Control-Allow-Origin"] == ours["Origin"]
    assert {"Retry-After", "Content-Range"} <= set(
        named.headers["Access-Control-Expose-Headers"].split(", ")
    )
    assert asked.status_code == 200
    assert "Access-Control-Allow-Origin" not in other.headers


async def test_the_documentation_needs_nothing_from_elsewhere(http: httpx.AsyncClient) -> None:
    root = await http.get("/")
    assert (root.status_code, root.headers["Location"]) == (307, "/docs")
    page = await http.get("/docs")
    assert page.status_code == 200
    assert "://" not in page.text
    for asset in ("swagger-ui-bundle.js", "swagger-ui.css", "favicon.png", "start.js"):
        assert f"/docs/{asset}" in page.text
        assert (await http.get(f"/docs/{asset}")).status_code == 200
    assert (await http.get("/openapi.json")).json()["openapi"].startswith("3.1")
