"""Which bags can be served, and what is said of the others."""

import hashlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from demucs.apply import BagOfModels

from exporters.errors import CheckpointError, UnsupportedModel
from exporters.htdemucs.bag import BagCheckpoint, load_bag, load_specialists
from exporters.htdemucs.family import load_model_or_bag
from exporters.parity import snr_db
from exporters.reference import BagReference
from tests.exporters.htdemucs.bags import STEMS, write_bag, write_definition, write_model

NARROWED_DB = 120.0


def load(source: Path) -> BagCheckpoint:
    return load_bag(str(source), trust_pickle=False)


def origins(bag: BagCheckpoint) -> dict[str, str]:
    return {stem: each.provenance["checkpoint"] for stem, each in bag.specialists.items()}


def test_each_stem_of_a_bag_comes_from_its_own_model(tmp_path: Path) -> None:
    bag = load(write_bag(tmp_path))
    assert origins(bag) == {"drums": "model0.safetensors", "vocals": "model1.safetensors"}
    assert isinstance(bag.bag, BagOfModels)


def test_the_weights_table_says_which_model_a_stem_comes_from(tmp_path: Path) -> None:
    bag = load(write_bag(tmp_path, weights=((0.0, 2.0), (1.0, 0.0))))
    assert origins(bag) == {"drums": "model1.safetensors", "vocals": "model0.safetensors"}


def test_a_folder_with_one_yaml_is_a_bag(tmp_path: Path) -> None:
    write_bag(tmp_path)
    assert tuple(load(tmp_path).specialists) == STEMS


def test_files_in_the_order_of_the_stems_are_a_bag(tmp_path: Path) -> None:
    files = [write_model(tmp_path / f"{name}.safetensors", seed=1) for name in ("a", "b")]
    bag = load_specialists([str(file) for file in files], trust_pickle=False)
    assert origins(bag) == {"drums": "a.safetensors", "vocals": "b.safetensors"}


def test_too_few_files_are_no_bag(tmp_path: Path) -> None:
    files = [str(write_model(tmp_path / f"{n}.safetensors", seed=1)) for n in range(3)]
    with pytest.raises(CheckpointError, match="3 checkpoints for 2 stems"):
        load_specialists(files, trust_pickle=False)


def test_a_pretrained_bag_is_demucs_own(tmp_path: Path) -> None:
    bag = load(write_bag(tmp_path)).bag
    reference = load_model_or_bag("htdemucs_ft", fetch=lambda _: bag)
    assert isinstance(reference, BagReference)
    assert reference.whole.stems == STEMS
    assert reference.whole.facts.licences.noncommercial
    assert reference.whole.facts.provenance["vocals_checkpoint"] == "htdemucs_ft"


@pytest.mark.parametrize("weights", [None, ((1.0, 1.0), (0.0, 1.0))])
def test_a_bag_that_mixes_models_is_refused(tmp_path: Path, weights: Any) -> None:
    with pytest.raises(UnsupportedModel, match=r"mixes several models into .*vocals"):
        load(write_bag(tmp_path, weights=weights))


def test_a_model_that_gives_two_stems_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModel, match="one stem of its own"):
        load(write_bag(tmp_path, weights=((1.0, 1.0), (0.0, 0.0))))


@pytest.mark.parametrize("weights", [((1.0, 0.0),), ((1.0,), (0.0,))])
def test_a_table_of_another_size_is_refused(tmp_path: Path, weights: Any) -> None:
    with pytest.raises(CheckpointError, match="a row for each model and a column for each stem"):
        load(write_bag(tmp_path, weights=weights))


@pytest.mark.parametrize("changes", [{"sources": ["drums", "bass"]}, {"samplerate": 48_000}])
def test_models_that_differ_are_no_bag(tmp_path: Path, changes: dict[str, Any]) -> None:
    definition = write_bag(tmp_path)
    write_model(tmp_path / "model1.safetensors", seed=1, **changes)
    with pytest.raises(CheckpointError, match="same stems"):
        load(definition)


def test_windows_of_different_lengths_are_refused(tmp_path: Path) -> None:
    definition = write_bag(tmp_path)
    write_model(tmp_path / "model1.safetensors", seed=1, segment=Fraction(2, 5))
    with pytest.raises(UnsupportedModel, match="different lengths"):
        load(definition)


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    definition = write_bag(tmp_path)
    (tmp_path / "model1.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"put model1\.safetensors or model1\.th there"):
        load(definition)


def test_a_published_file_is_held_to_the_checksum_in_its_name(tmp_path: Path) -> None:
    write_bag(tmp_path)
    content = (tmp_path / "model1.safetensors").read_bytes()
    wrong = tmp_path / f"published-{hashlib.sha256(b'another').hexdigest()[:8]}.th"
    wrong.write_bytes(content)
    definition = write_definition(tmp_path, models=("model0", "published"))
    with pytest.raises(CheckpointError, match=r"Invalid checksum for file .*published-"):
        load(definition)


@pytest.mark.parametrize("text", ["", "models: [", "models: []", "modles: [a]", "models: [1, 2]"])
def test_a_yaml_that_describes_no_bag_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bag.yaml"
    path.write_text(text)
    with pytest.raises(CheckpointError, match=r"bag\.yaml"):
        load(path)


@pytest.mark.parametrize("names", [(), ("a.yaml", "b.yaml")])
def test_a_folder_without_exactly_one_yaml_is_refused(tmp_path: Path, names: Any) -> None:
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(CheckpointError, match="should hold one yaml"):
        load(tmp_path)


def test_a_narrowed_graph_gives_the_very_stem_of_the_whole(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.safetensors", seed=3)
    whole = load_model_or_bag(str(path))
    bag = load_model_or_bag(str(write_bag(tmp_path / "bag")))
    assert isinstance(bag, BagReference)
    assert not isinstance(whole, BagReference)
    mix = torch.randn(1, 2, whole.segment_samples, generator=torch.Generator().manual_seed(1))
    for place, (stem, specialist) in enumerate(bag.specialists.items()):
        own = load_model_or_bag(str(tmp_path / "bag" / f"model{place}.safetensors"))
        assert not isinstance(own, BagReference)
        (output,) = specialist.graph(mix)
        exact = own.graph(mix)[place].numpy()
        # Fewer channels are added up in another order: in float32, and no more.
        assert snr_db(exact, output.numpy()) >= NARROWED_DB
        assert specialist.stems == (stem,)
        assert specialist.parameters < own.parameters
