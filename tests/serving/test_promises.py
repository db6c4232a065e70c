"""Cards and configs edited by hand, of models and of bags."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from serving.errors import ModelRefused, RefusalReason
from serving.inspection import verify
from stemcore.model_card import ModelCard
from tests.serving.small_bags import describe_bag, write_bag
from tests.serving.small_models import GAINS, SAMPLES, rewrite, write_model

Change = Callable[[dict[str, Any]], None]


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    return write_bag(tmp_path)


def part(bag: Path, stem: str) -> Path:
    return bag.with_name(f"{bag.name}-{stem}")


def refused(folder: Path) -> ModelRefused:
    with pytest.raises(ModelRefused) as refusal:
        verify(folder)
    return refusal.value


def edited(folder: Path, change: Change) -> ModelCard:
    fields = json.loads((folder / "card.json").read_text())
    change(fields)
    return ModelCard.from_json(json.dumps(fields))


def test_a_bag_is_verified_with_its_parts(bag: Path) -> None:
    verified = verify(bag)
    assert [each.name for each in verified.parts] == [f"bag-{stem}" for stem in GAINS]
    assert all(each.card.part_of == "bag" for each in verified.parts)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (f"[ 2, {SAMPLES} ]", "[ 2, 99 ]", "the input"),
        ("max_batch_size: 1", "max_batch_size: 4", "max_batch_size"),
        ('name: "vocals"', 'name: "voice"', "the outputs"),
    ],
)
def test_a_config_that_is_not_the_cards_is_refused(
    tmp_path: Path, old: str, new: str, complaint: str
) -> None:
    model = write_model(tmp_path, "gains")
    rewrite(model / "config.pbtxt", lambda text: text.replace(old, new))
    refusal = refused(model)
    assert refusal.reason is RefusalReason.CONFIG_DIFFERS
    assert complaint in str(refusal)
    assert "export it again" in str(refusal)


def test_a_bag_with_a_tampered_part_names_the_part_and_its_reason(bag: Path) -> None:
    with (part(bag, "bass") / "1" / "model.onnx").open("ab") as file:
        file.write(b"\0")
    refusal = refused(bag)
    assert refusal.reason is RefusalReason.PART_REFUSED
    assert "bag-bass was refused, digest_differs" in str(refusal)
    assert verify(part(bag, "drums")).name == "bag-drums"


def test_a_bag_without_one_of_its_parts_is_refused(bag: Path) -> None:
    part(bag, "vocals").rename(bag.with_name("elsewhere"))
    refusal = refused(bag)
    assert refusal.reason is RefusalReason.PART_REFUSED
    assert "bag-vocals was refused, config_missing" in str(refusal)


def test_a_part_that_was_exported_again_alone_is_refused(bag: Path) -> None:
    described = edited(bag, lambda card: card["parts"].update({"bag-bass": "f" * 64}))
    describe_bag(bag, described)
    refusal = refused(bag)
    assert refusal.reason is RefusalReason.PART_DIFFERS
    assert "export the bag again, whole" in str(refusal)


def test_a_part_of_another_bag_is_refused(tmp_path: Path, bag: Path) -> None:
    lent = write_model(tmp_path / "other", "bag-bass", gains={"bass": 0.25}, part_of="other")
    shutil.rmtree(part(bag, "bass"))
    lent.rename(part(bag, "bass"))
    refusal = refused(bag)
    assert refusal.reason is RefusalReason.PART_DIFFERS
    assert "part of 'other'" in str(refusal)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('model_name: "bag-bass"', 'model_name: "bag-drums"'),
        ("model_version: -1", "model_version: 1"),
        ('key: "bass" value: "bass"', 'key: "bass" value: "vocals"'),
    ],
)
def test_steps_that_are_not_the_cards_are_refused(bag: Path, old: str, new: str) -> None:
    rewrite(bag / "config.pbtxt", lambda text: text.replace(old, new, 1))
    assert refused(bag).reason is RefusalReason.CONFIG_DIFFERS


def test_a_bag_is_planned_as_its_parts_are(bag: Path) -> None:
    describe_bag(bag, edited(bag, lambda card: card.update(normalisation="none")))
    refusal = refused(bag)
    assert refusal.reason is RefusalReason.PART_DIFFERS
    assert "another normalisation" in str(refusal)


def test_a_stem_is_looked_for_in_the_part_that_gives_it(bag: Path) -> None:
    def exchange(card: dict[str, Any]) -> None:
        first, second, *_ = card["stems"]
        first["model"], second["model"] = second["model"], first["model"]

    describe_bag(bag, edited(bag, exchange))
    refusal = refused(bag)
    assert refusal.reason is RefusalReason.PART_DIFFERS
    assert "does not give" in str(refusal)


@pytest.mark.parametrize("name", ["../bag-bass", "bag"])
def test_a_part_must_be_a_plain_model_beside_the_bag(bag: Path, name: str) -> None:
    def rename(card: dict[str, Any]) -> None:
        card["parts"][name] = card["parts"].pop("bag-bass")
        card["stems"][1]["model"] = name

    describe_bag(bag, edited(bag, rename))
    assert refused(bag).reason is RefusalReason.PART_REFUSED


def test_an_ensemble_without_parts_on_its_card_is_refused(bag: Path) -> None:
    describe_bag(bag, edited(bag, lambda card: card.update(parts={}, files={"1/a": "0" * 64})))
    assert refused(bag).reason is RefusalReason.CONFIG_DIFFERS


def test_an_ensemble_may_not_name_a_backend_beside(bag: Path) -> None:
    rewrite(bag / "config.pbtxt", lambda text: f'{text}\nbackend: "python"')
    assert refused(bag).reason is RefusalReason.BACKEND_NOT_ALLOWED
