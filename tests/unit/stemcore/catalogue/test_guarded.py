from dataclasses import replace

import pytest

from stemcore.catalogue.guarded import GuardedCatalogue
from stemcore.catalogue.memory import MemoryCatalogue
from stemcore.catalogue.policy import ModelPolicy
from stemcore.catalogue.port import MeasuredSpeed, ServedModel
from stemcore.model_card import Licences, ModelCard, StemSource
from tests.integration.gateway.cards import DEMUCS_STEMS, make_card

OPEN = ModelPolicy()
STRICT = ModelPolicy(refuse_noncommercial=True)
RESEARCH = Licences(code="MIT", weights="research only", noncommercial=True)


def part(stem: str, *, ready: bool = True, licences: Licences | None = None) -> ServedModel:
    card = replace(make_card(f"ft-{stem}", stems=(stem,)), part_of="ft")
    card = card if licences is None else replace(card, licences=licences)
    return ServedModel(card=card, ready=ready)


def bag_card(*parts: ServedModel) -> ModelCard:
    stems = [source for each in parts for source in each.card.stems]
    sources = tuple(StemSource(stem=s.stem, model=s.model, output=s.output) for s in stems)
    return replace(
        make_card("ft"),
        stems=sources,
        files={},
        parts={each.card.name: each.card.digest for each in parts},
    )


PARTS = tuple(part(stem) for stem in DEMUCS_STEMS)
BAG = ServedModel(card=bag_card(*PARTS), ready=True)
MINI = ServedModel(card=make_card("mini"), ready=True)


async def public(*models: ServedModel, policy: ModelPolicy = OPEN) -> dict[str, ServedModel]:
    listed = await GuardedCatalogue(MemoryCatalogue(*models), policy).models()
    return {model.card.name: model for model in listed}


async def test_what_is_part_of_a_bag_shows_in_the_bag_alone() -> None:
    assert await public(BAG, *PARTS, MINI) == {"ft": BAG, "mini": MINI}


async def test_a_bag_is_ready_when_all_its_parts_are() -> None:
    late = part("vocals", ready=False)
    assert (await public(BAG, *PARTS))["ft"].ready
    assert not (await public(BAG, *PARTS[:-1], late))["ft"].ready
    assert not (await public(BAG, *PARTS[:-1]))["ft"].ready
    assert (await public(BAG, *PARTS[:-1], late))["ft"].refusal is None


async def test_a_bag_with_another_part_than_its_card_names_is_refused() -> None:
    exchanged = replace(PARTS[0], card=replace(PARTS[0].card, files={"1/model.onnx": "b" * 64}))
    found = (await public(BAG, exchanged, *PARTS[1:]))["ft"]
    assert found.refusal == "ft-drums is not the model that the card of ft names."


@pytest.mark.parametrize(("policy", "usable"), [(OPEN, True), (STRICT, False)])
async def test_the_policy_refuses_weights_that_are_not_for_commerce(
    policy: ModelPolicy, usable: bool
) -> None:
    research = replace(MINI, card=replace(MINI.card, licences=RESEARCH))
    found = (await public(research, policy=policy))["mini"]
    assert found.usable is usable
    assert (found.refusal is None) is usable
    assert usable or "research only" in str(found.refusal)
    assert (await public(MINI, policy=policy))["mini"].usable


async def test_a_bag_is_refused_for_the_licence_of_a_part() -> None:
    tainted = part("drums", licences=RESEARCH)
    found = (await public(BAG, tainted, *PARTS[1:], policy=STRICT))["ft"]
    assert str(found.refusal).startswith("ft-drums: ")


async def test_a_refusal_for_lack_of_proof_is_told_first() -> None:
    unproven = ServedModel(
        card=replace(make_card("x"), licences=RESEARCH), ready=True, refusal="No parity."
    )
    assert (await public(unproven, policy=STRICT))["x"].refusal == "No parity."


async def test_a_bags_segment_goes_through_every_part() -> None:
    timed = [
        replace(each, speed=MeasuredSpeed(segments=n, seconds_per_segment=0.5))
        for n, each in enumerate(PARTS, start=3)
    ]
    found = (await public(BAG, *timed))["ft"]
    assert found.speed == MeasuredSpeed(segments=3, seconds_per_segment=2.0)
    assert found.times_real_time == pytest.approx(257_985 / 44_100 / 2.0)
    assert (await public(BAG, *timed[1:], PARTS[0]))["ft"].times_real_time is None
