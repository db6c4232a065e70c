"""What the gateway counts, and what it thinks of a missing broker."""

import contextlib
from collections.abc import AsyncGenerator

import httpx
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from gateway.composition import Replacements
from gateway.settings import GatewaySettings
from stemcore.bus.kafka.settings import KafkaSettings
from stemcore.ids import new_id
from stemcore.telemetry.metrics_door import MetricsSettings
from tests.integration.gateway.conftest import running_gateway

NOBODY = KafkaSettings(bootstrap_servers="127.0.0.1:1", request_timeout_s=1)
Requests = dict[tuple[str, str, str], float]


@contextlib.asynccontextmanager
async def client_of(
    settings: GatewaySettings, replacements: Replacements
) -> AsyncGenerator[httpx.AsyncClient]:
    async with (
        running_gateway(settings, instead=replacements) as gateway,
        httpx.AsyncClient(base_url=gateway.address, timeout=20) as client,
    ):
        yield client


@pytest_asyncio.fixture(loop_scope="session")
async def watched(
    settings: GatewaySettings, replacements: Replacements, unused_tcp_port: int
) -> AsyncGenerator[httpx.AsyncClient]:
    port = MetricsSettings(port=unused_tcp_port)
    async with client_of(settings.model_copy(update={"metrics": port}), replacements) as client:
        client.headers["X-Metrics"] = f"http://127.0.0.1:{unused_tcp_port}/metrics"
        yield client


async def requests(watched: httpx.AsyncClient) -> Requests:
    """How many there were of each method, route and status."""
    async with httpx.AsyncClient(timeout=20) as client:
        answer = await client.get(watched.headers["X-Metrics"])
    families = text_string_to_metric_families(answer.text)
    return {
        (sample.labels["method"], sample.labels["route"], sample.labels["status"]): sample.value
        for family in families
        for sample in family.samples
        if sample.name == "http_request_duration_seconds_count"
    }


async def test_requests_are_counted_by_route_and_never_by_path(watched: httpx.AsyncClient) -> None:
    for _ in range(3):
        await watched.get(f"/v1/models/{new_id()}")
    await watched.get(f"/nowhere/{new_id()}")
    await watched.request("BREW", "/v1/models")
    await watched.request(f"X{new_id().hex}", "/v1/models")
    found = await requests(watched)
    assert found["GET", "/v1/models/{name}", "404"] == 3
    assert found["GET", "unmatched", "404"] == 1
    assert {method for method, _, _ in found} == {"GET", "OTHER"}


async def test_a_broker_that_is_away_is_a_warning(
    settings: GatewaySettings, replacements: Replacements
) -> None:
    """A submission needs none: its message waits in the outbox."""
    with_broker = settings.model_copy(update={"kafka": NOBODY})
    async with client_of(with_broker, replacements) as client:
        ready = await client.get("/healthz/ready")
        assert ready.status_code == 200
        assert ready.json()["warnings"].keys() == {"bus"}
        health = (await client.get("/v1/health")).json()
    assert health["status"] == "degraded"
    assert not health["dependencies"]["bus"]["ok"]
    assert health["dependencies"]["database"]["ok"]
