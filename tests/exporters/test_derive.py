"""Model folders made of verified ones: mixed precision, and engine files."""

import dataclasses
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tritonclient.grpc import model_config_pb2

from exporters import derive
from exporters.bag import export_bag
from exporters.card_writer import ModelFolder, file_sha256
from exporters.htdemucs.family import load_model_or_bag
from exporters.parity import Step
from exporters.reference import BagReference
from exporters.triton_config import parse_config
from serving import inspection
from stemcore.model_card import ModelCard, ParityFigure
from tests.exporters import small_graphs
from tests.exporters.htdemucs.bags import write_bag

DataType: Any = getattr(model_config_pb2, "DataType")  # noqa: B009 - generated at import
PROVEN = ParityFigure(
    step=Step.ENGINE,
    signal="music",
    worst_stem="drums",
    snr_db=100.0,
    required_db=95.0,
    passed=True,
)
FACTS = {"gpu": "NVIDIA H200", "gpu_compute_capability": "9.0", "tensorrt": "10.13.3.9"}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    """As if it had been verified."""
    model = small_graphs.htdemucs(tmp_path_factory.mktemp("source"))
    folder = ModelFolder(model.parent.parent)
    folder.write(dataclasses.replace(folder.read_card(), parity=(PROVEN,)), threads=0)
    return folder


@pytest.fixture(scope="module")
def converted(source: ModelFolder, tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    repository = tmp_path_factory.mktemp("gpu")
    assert run("half", source, repository, "--half-outputs") == 0
    return ModelFolder(repository / "other")


def run(verb: str, source: ModelFolder, repository: Path, *more: str) -> int:
    name, home = source.path.name, str(source.path.parent)
    where = ["--source", home, "--name", "other", "--repository", str(repository)]
    return derive.main([verb, name, *where, *more])


def config_of(folder: ModelFolder) -> Any:
    return parse_config((folder.path / "config.pbtxt").read_text())


def with_card(source: ModelFolder, root: Path, **changes: Any) -> ModelFolder:
    folder = ModelFolder(root / "changed")
    folder.model.parent.mkdir(parents=True)
    folder.model.write_bytes(source.model.read_bytes())
    folder.write(dataclasses.replace(source.read_card(), **changes), threads=0)
    return folder


def test_a_converted_model_has_its_own_figures_beside_its_sources(
    source: ModelFolder, converted: ModelFolder
) -> None:
    card = converted.read_card()
    assert card.parity_passed
    assert card.parity[0] == PROVEN
    figures = {figure.signal: figure for figure in card.parity if figure.step == Step.HALF}
    assert set(figures) == {"music", "noise", "clicks", "lone click", "silence"}
    assert figures["music"].required_db == 45.0
    assert card.provenance["converted_from_sha256"] == file_sha256(source.model)
    assert card.files == {"1/model.onnx": file_sha256(converted.model)}


def test_a_converted_model_is_served_on_a_gpu_under_its_own_name(converted: ModelFolder) -> None:
    card, config = converted.read_card(), config_of(converted)
    assert (card.precision, card.output_precision, card.profile) == ("fp16", "fp16", "gpu-tensorrt")
    assert {stem.model for stem in card.stems} == {"other"}
    assert {tensor.data_type for tensor in config.output} == {DataType.Value("TYPE_FP16")}
    assert [tensor.data_type for tensor in config.input] == [DataType.Value("TYPE_FP32")]
    assert ModelCard.from_json(config.parameters["card"].string_value) == card


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"parity": ()}, "no passed parity"),
        ({"precision": "fp16"}, "no graph in fp32"),
        ({"files": {"1/model.onnx": "0" * 64}}, "not the file on its card"),
    ],
)
def test_what_is_not_proven_is_not_converted(
    source: ModelFolder,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    changes: Mapping[str, Any],
    complaint: str,
) -> None:
    folder = with_card(source, tmp_path / "from", **changes)
    assert run("half", folder, tmp_path / "to") == 1
    told = capsys.readouterr().err
    assert complaint in told
    assert str(folder.path) in told
    assert not (tmp_path / "to" / "other").exists()


def plan_files(root: Path, facts: str) -> tuple[str, ...]:
    (root / "built.plan").write_bytes(b"an engine")
    (root / "facts.json").write_text(facts)
    return "--plan", str(root / "built.plan"), "--facts", str(root / "facts.json")


def test_a_plan_says_what_it_was_built_for(source: ModelFolder, tmp_path: Path) -> None:
    assert run("plan", source, tmp_path / "to", *plan_files(tmp_path, json.dumps(FACTS))) == 0
    folder = ModelFolder(tmp_path / "to" / "other")
    card, config = folder.read_card(), config_of(folder)
    assert {key: card.provenance[key] for key in FACTS} == FACTS
    plan = folder.path / "1" / "model.plan"
    assert card.files == {"1/model.plan": file_sha256(plan)}
    assert plan.read_bytes() == b"an engine"
    assert card.parity == (PROVEN,)
    assert (config.backend, config.default_model_filename) == ("tensorrt", "model.plan")


def test_a_plan_of_unknown_origin_is_refused(
    source: ModelFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = plan_files(tmp_path, '{"gpu": "NVIDIA H200"}')
    assert run("plan", source, tmp_path / "to", *arguments) == 1
    assert "facts.json does not say what the plan was built for" in capsys.readouterr().err
    assert not (tmp_path / "to" / "other").exists()


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    """As if it and its parts had been verified."""
    root = tmp_path_factory.mktemp("bag")
    reference = load_model_or_bag(str(write_bag(root / "checkpoints")))
    assert isinstance(reference, BagReference)
    folder = export_bag(reference, name="bag", repository=root / "models")
    for name in (*folder.read_card().parts, "bag"):
        each = ModelFolder(root / "models" / name)
        each.write(dataclasses.replace(each.read_card(), parity=(PROVEN,)), threads=0)
    return folder


def test_a_bag_is_converted_with_its_parts_and_served(bag: ModelFolder, tmp_path: Path) -> None:
    assert run("half", bag, tmp_path) == 0
    verified = inspection.verify(tmp_path / "other")
    assert verified.card.precision == "fp16"
    assert [part.name for part in verified.parts] == ["other-drums", "other-vocals"]
    for part in verified.parts:
        assert part.card.part_of == "other"
        assert part.card.profile == "gpu-tensorrt"
    halves = [figure for figure in verified.card.parity if figure.step == Step.HALF]
    assert len(halves) == 2 * 5
    assert {path.name for path in tmp_path.iterdir()} == {"other", "other-drums", "other-vocals"}


def test_a_bag_with_an_unproven_part_is_not_converted(
    bag: ModelFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(bag.path.parent, tmp_path / "from")
    part = ModelFolder(tmp_path / "from" / "bag-drums")
    part.write(dataclasses.replace(part.read_card(), parity=()), threads=0)
    assert run("half", ModelFolder(tmp_path / "from" / "bag"), tmp_path / "to") == 1
    assert "bag-drums has no passed parity" in capsys.readouterr().err
    assert list((tmp_path / "to").iterdir()) == []
