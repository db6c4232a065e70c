"""The catalogue, and the health built on it."""

import httpx

from gateway.composition import Replacements
from gateway.settings import GatewaySettings
from stemcore.catalogue.memory import MemoryCatalogue
from tests.integration.gateway.conftest import MODELS, running_gateway


async def test_models_show_their_cards(http: httpx.AsyncClient) -> None:
    answer = (await http.get("/v1/models")).json()
    assert answer["default_model"] == "stemyard-mini"
    assert [(m["name"], m["usable"], m["refusal"]) for m in answer["items"]] == [
        ("stemyard-mini", True, None),
        ("two-stems", True, None),
        ("unproven", False, "No parity."),
    ]
    mini = (await http.get("/v1/models/stemyard-mini")).json()
    assert mini == answer["items"][0]
    assert mini["stems"] == ["drums", "bass", "other", "vocals"]
    assert mini["worst_parity_db"] == 101.5
    assert mini["segment_s"] == 7.8


async def test_a_healthy_gateway_says_so(http: httpx.AsyncClient) -> None:
    ready = await http.get("/healthz/ready")
    assert (ready.status_code, ready.json()) == (200, {"status": "ok", "warnings": {}})
    health = (await http.get("/v1/health")).json()
    assert health["status"] == "ok"
    assert all(state["ok"] for state in health["dependencies"].values())
    assert [model["name"] for model in health["models"]] == [m.card.name for m in MODELS]


async def test_a_gateway_without_a_model_that_may_be_used_is_not_ready(
    settings: GatewaySettings,
) -> None:
    instead = Replacements(catalogue=MemoryCatalogue(MODELS[-1]))
    async with (
        running_gateway(settings, instead=instead) as gateway,
        httpx.AsyncClient(base_url=gateway.address) as http,
    ):
        answer = await http.get("/healthz/ready")
    assert answer.status_code == 503
    assert answer.json()["details"] == {
        "missing": {"engine": "No model is ready that may be used."}
    }
