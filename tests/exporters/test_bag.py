"""A bag as it is exported and verified."""

import dataclasses
import json
import shutil
from itertools import islice
from pathlib import Path
from typing import Any

import onnx
import pytest

from exporters.__main__ import main
from exporters.bag import BagEngine, verify_bag
from exporters.card_writer import ModelFolder
from exporters.export import specify
from exporters.htdemucs.family import load_model_or_bag
from exporters.parity import Step
from exporters.reference import BagReference
from exporters.triton_config import parse_config
from exporters.verification import measure
from stemcore.model_card import ModelCard
from tests.exporters.htdemucs.bags import STEMS, write_bag, write_model

NAME = "small_ft"
PARTS = [f"{NAME}-{stem}" for stem in STEMS]
SAMPLES = 13_230


@pytest.fixture(scope="module")
def definition(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bag(tmp_path_factory.mktemp("bag"))


@pytest.fixture(scope="module")
def bag(definition: Path) -> BagReference:
    reference = load_model_or_bag(str(definition))
    assert isinstance(reference, BagReference)
    return reference


@pytest.fixture(scope="module")
def repository(definition: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exported and verified from the shell."""
    models = tmp_path_factory.mktemp("models")
    where = ["--repository", str(models), "--checkpoint", str(definition)]
    assert main(["export", "htdemucs", "--name", NAME, *where]) == 0
    assert not card_of(models, NAME).parity_passed
    assert main(["verify", NAME, *where]) == 0
    return models


@pytest.fixture
def own_repository(repository: Path, tmp_path: Path) -> Path:
    """A copy, to be written to."""
    return Path(shutil.copytree(repository, tmp_path / "models"))


def card_of(repository: Path, name: str) -> ModelCard:
    return ModelFolder(repository / name).read_card()


def test_a_bag_is_a_model_for_each_stem_and_an_ensemble(repository: Path) -> None:
    assert sorted(path.name for path in repository.iterdir()) == [NAME, *PARTS]
    card = card_of(repository, NAME)
    assert [(s.stem, s.model, s.output) for s in card.stems] == [
        (stem, part, stem) for stem, part in zip(STEMS, PARTS, strict=True)
    ]
    assert card.parts == {part: card_of(repository, part).digest for part in PARTS}
    assert card.files == {}
    assert all(card_of(repository, part).part_of == NAME for part in PARTS)


def biases(shapes: dict[str, list[int]], layer: str) -> list[list[int]]:
    return [dims for name, dims in shapes.items() if name.startswith(layer) and len(dims) == 1]


def test_a_part_computes_and_gives_its_own_stem_alone(repository: Path) -> None:
    for stem, part in zip(STEMS, PARTS, strict=True):
        graph = onnx.load(str(ModelFolder(repository / part).model)).graph
        assert [output.name for output in graph.output] == [stem]
        shapes = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
        (spectra,) = biases(shapes, "model.decoder.3.upsample.")
        (waves,) = biases(shapes, "model.tdecoder.3.upsample.")
        assert spectra == [2 * 2], "real and imaginary parts of one stem's two channels"
        assert waves == [2 * 4], "two channels, and four strides of each"


def test_the_ensemble_gives_each_stem_by_its_part(repository: Path) -> None:
    config = parse_config((repository / NAME / "config.pbtxt").read_text())
    assert (config.platform, config.backend) == ("ensemble", "")
    assert [(t.name, list(t.dims)) for t in config.input] == [("mix", [2, SAMPLES])]
    assert [(t.name, list(t.dims)) for t in config.output] == [(s, [2, SAMPLES]) for s in STEMS]
    steps = [
        (step.model_name, dict(step.input_map), dict(step.output_map))
        for step in config.ensemble_scheduling.step
    ]
    assert steps == [
        (part, {"mix": "mix"}, {stem: stem}) for stem, part in zip(STEMS, PARTS, strict=True)
    ]
    assert not config.instance_group
    assert ModelCard.from_json(config.parameters["card"].string_value) == card_of(repository, NAME)


def test_parts_and_bag_are_verified_each(repository: Path) -> None:
    for name in (NAME, *PARTS):
        card = card_of(repository, name)
        assert card.parity_passed
        assert {figure.step for figure in card.parity} >= {Step.GRAPH, Step.ENGINE, Step.BATCH_4}


def test_a_bag_fails_with_any_of_its_parts(own_repository: Path, bag: BagReference) -> None:
    (stem, own), (_, other) = bag.specialists.items()
    exchanged = dataclasses.replace(own, model=other.model)
    changed = dataclasses.replace(bag, specialists=dict(bag.specialists) | {stem: exchanged})
    first, second, whole = verify_bag(ModelFolder(own_repository / NAME), name=NAME, bag=changed)
    assert [card.parity_passed for card in (first, second, whole)] == [False, True, False]
    assert card_of(own_repository, NAME) == whole


def test_a_bag_whose_parts_are_exchanged_fails(repository: Path, bag: BagReference) -> None:
    files = [ModelFolder(repository / part).model for part in PARTS]
    engine = SwappedEngine(BagEngine(dict(zip(STEMS, files, strict=True))))
    figures = measure(engine, specify(bag.whole, name=NAME), bag.whole)
    of_graph, of_engine = islice(figures, 2)
    assert (of_graph.step, of_graph.passed) == (Step.GRAPH, True)
    assert (of_engine.step, of_engine.passed) == (Step.ENGINE, False)


class SwappedEngine:
    def __init__(self, engine: BagEngine) -> None:
        self.engine = engine

    def run(self, mix: Any) -> dict[str, Any]:
        stems = self.engine.run(mix)
        return dict(zip(stems, reversed(list(stems.values())), strict=True))


def shell_error(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 1
    return capsys.readouterr().err


def test_a_part_is_verified_with_its_bag(
    repository: Path, definition: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--repository", str(repository), "--checkpoint", str(definition)]
    error = shell_error(capsys, "verify", PARTS[0], *where)
    assert error == f"error: {PARTS[0]} is part of {NAME}: verify that\n"


def test_a_bag_is_not_verified_by_a_single_checkpoint(
    own_repository: Path, definition: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    single = definition.with_name("model0.safetensors")
    where = ["--repository", str(own_repository), "--checkpoint", str(single)]
    assert "is a bag, and the checkpoint a single model" in shell_error(
        capsys, "verify", NAME, *where
    )


def test_a_bag_that_cannot_be_exported_leaves_nothing(
    tmp_path: Path, definition: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [str(definition.with_name("model0.safetensors"))]
    files += [str(write_model(tmp_path / "w.safetensors", seed=5, sources=["drums", "bass"]))]
    where = ["--repository", str(tmp_path / "models"), "--checkpoint", *files]
    assert "same stems" in shell_error(capsys, "export", "htdemucs", "--name", NAME, *where)
    assert not (tmp_path / "models").exists()


def test_facts_are_told_of_the_bag_and_its_parts(tmp_path: Path, definition: Path) -> None:
    facts = tmp_path / "facts.json"
    licences = {"code": "MIT", "weights": "told", "noncommercial": True}
    facts.write_text(json.dumps({"description": "told", "licences": licences}))
    models = tmp_path / "models"
    where = ["--repository", str(models), "--checkpoint", str(definition), "--facts", str(facts)]
    assert main(["export", "htdemucs", "--name", NAME, "--profile", "cpu-batched", *where]) == 0
    for name in (NAME, *PARTS):
        card = card_of(models, name)
        assert (card.licences.weights, card.profile) == ("told", "cpu-batched")
