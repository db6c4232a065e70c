"""The catalogue, and the health built on it."""

from dataclasses import replace
from typing import TYPE_CHECKING

import httpx

from gateway.composition import Replacements
from gateway.settings import GatewaySettings
from stemcore.catalogue.memory import MemoryCatalogue
from stemcore.catalogue.policy import ModelPolicy
from stemcore.catalogue.port import MeasuredSpeed, ServedModel
from stemcore.model_card import EngineEvidence, Licences
from tests.integration.gateway.cards import make_card
from tests.integration.gateway.conftest import MODELS, new_account, running_gateway, signed_in

if TYPE_CHECKING:
    from stemcore.database.pool import Pool


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
    assert (mini["segment_s"], mini["hop_s"], mini["join"]) == (7.8, 5.85, "mean")
    assert mini["complements"] == ["no_drums", "no_bass", "no_other", "no_vocals", "instrumental"]
    assert mini["licences"] == {"code": "MIT", "weights": "MIT", "noncommercial": False}
    assert mini["times_real_time"] is None
    assert (mini["digest"], mini["engines"]) == (MODELS[0].card.digest, [])


async def test_each_preset_shows_the_model_it_takes_now(http: httpx.AsyncClient) -> None:
    items = (await http.get("/v1/presets")).json()["items"]
    assert {item["name"]: (item["available"], item["model"]) for item in items} == dict.fromkeys(
        ("karaoke", "vocals", "drums", "practice", "best", "fast"), (True, "stemyard-mini")
    )
    karaoke, *_ = items
    assert karaoke["stems"] == ["instrumental"]
    assert karaoke["description"]


async def test_research_weights_are_refused_where_the_policy_says_so(
    settings: GatewaySettings, pool: "Pool"
) -> None:
    strict = settings.model_copy(update={"models": ModelPolicy(refuse_noncommercial=True)})
    research = Licences(code="MIT", weights="research only", noncommercial=True)
    card = make_card("htdemucs")
    other = EngineEvidence(
        engine="openvino", precision="bf16", parity=card.parity, sdr_lost_db={"drums": 0.01}
    )
    card = replace(card, licences=research, parameters=42_000_000, engines=(other,))
    timed = MeasuredSpeed(segments=8, seconds_per_segment=0.5)
    models = (MODELS[0], ServedModel(card=card, ready=True, speed=timed))
    account_id = await new_account(pool)
    for policy, best in ((settings, "htdemucs"), (strict, "stemyard-mini")):
        instead = Replacements(catalogue=MemoryCatalogue(*models))
        async with (
            running_gateway(policy, instead=instead) as gateway,
            signed_in(gateway, account_id) as caller,
        ):
            shown = (await caller.http.get("/v1/models/htdemucs")).json()
            presets = (await caller.http.get("/v1/presets")).json()["items"]
            answer = await caller.submit(model="htdemucs")
        assert shown["licences"]["noncommercial"]
        assert shown["times_real_time"] == 11.7
        (engine,) = shown["engines"]
        assert (engine["engine"], engine["precision"]) == ("openvino", "bf16")
        assert (engine["passed"], engine["worst_parity_db"]) == (True, 101.5)
        assert {item["model"] for item in presets if item["name"] == "best"} == {best}
        assert shown["usable"] is (policy is settings)
        assert answer.status_code == (202 if policy is settings else 422)
    assert answer.json()["error_code"] == "model_refused"
    assert "research only" in answer.json()["details"]["refusal"]


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
