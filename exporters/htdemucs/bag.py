"""Demucs' bags: models behind one name, and a table of how much of each goes into a stem."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from demucs.apply import BagOfModels
from demucs.repo import ModelLoadingError, check_checksum

from exporters.errors import CheckpointError, UnsupportedModel
from exporters.htdemucs.checkpoint import Checkpoint, load_checkpoint

DEFINITIONS = (".yaml", ".yml")
WEIGHTS = (".safetensors", ".th")


@dataclass(frozen=True, slots=True, kw_only=True)
class BagCheckpoint:
    """A bag as Demucs runs it, and which of its checkpoints each stem comes from."""

    bag: BagOfModels
    specialists: Mapping[str, Checkpoint]


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """What a bag's yaml says."""

    models: Sequence[str]
    weights: Sequence[Sequence[float]] | None = None
    segment: float | None = None


def is_bag(source: str) -> bool:
    """Whether this is a bag's yaml, or a folder that should hold one."""
    path = Path(source)
    return path.is_dir() or (path.suffix in DEFINITIONS and path.is_file())


def load_bag(source: str, *, trust_pickle: bool) -> BagCheckpoint:
    """A yaml with its models beside it, or the folder of both.

    Raises CheckpointError, UnsafeCheckpoint or UnsupportedModel.
    """
    path = _definition_file(Path(source))
    definition = _read_definition(path)
    files = [_file_of(signature, path.parent) for signature in definition.models]
    return bag_of(
        [load_checkpoint(str(file), trust_pickle=trust_pickle) for file in files],
        weights=definition.weights,
        segment=definition.segment,
    )


def load_specialists(sources: Sequence[str], *, trust_pickle: bool) -> BagCheckpoint:
    """As many checkpoints as stems, in the order of the stems: each gives its own."""
    checkpoints = [load_checkpoint(source, trust_pickle=trust_pickle) for source in sources]
    stems = len(checkpoints[0].model.sources)
    if len(checkpoints) != stems:
        raise CheckpointError(
            f"{len(checkpoints)} checkpoints for {stems} stems: pass one for each stem, in order, "
            "or the bag's yaml"
        )
    weights = [[float(row == stem) for stem in range(stems)] for row in range(stems)]
    return bag_of(checkpoints, weights=weights, segment=None)


def bag_of(
    checkpoints: Sequence[Checkpoint],
    *,
    weights: Sequence[Sequence[float]] | None,
    segment: float | None,
) -> BagCheckpoint:
    """Demucs' own bag of them; raises UnsupportedModel unless each stem has a model of its own."""
    models: list[Any] = [checkpoint.model for checkpoint in checkpoints]
    table = None if weights is None else [list(row) for row in weights]
    try:
        bag = BagOfModels(models, table, segment)
    except (AssertionError, TypeError) as error:
        raise CheckpointError(
            "the models of a bag must have the same stems, sample rate and channels, and its "
            "weights a row for each model and a column for each stem"
        ) from error
    if len({model.segment for model in models}) != 1:
        raise UnsupportedModel("the models of this bag take windows of different lengths")
    specialists = {stem: checkpoints[place] for stem, place in specialists_of(bag).items()}
    return BagCheckpoint(bag=bag.eval(), specialists=specialists)


def specialists_of(bag: BagOfModels) -> Mapping[str, int]:
    """The place of the one model that each stem comes from, by Demucs' weights table."""
    stems, places = list(bag.sources), range(len(bag.models))
    sharers = {
        stem: [place for place in places if bag.weights[place][column]]
        for column, stem in enumerate(stems)
    }
    if mixed := [stem for stem, found in sharers.items() if len(found) != 1]:
        raise UnsupportedModel(
            f"this bag mixes several models into {', '.join(mixed)} (weights {bag.weights}); only "
            "one whose every stem comes from one model can be served as specialists"
        )
    chosen = {stem: place for stem, (place,) in sharers.items()}
    if sorted(chosen.values()) != list(places):
        raise UnsupportedModel(
            f"the weights {bag.weights} do not give each model of the bag one stem of its own"
        )
    return chosen


def _definition_file(path: Path) -> Path:
    if path.is_file():
        return path
    found = sorted(file for file in path.iterdir() if file.suffix in DEFINITIONS)
    if len(found) != 1:
        names = ", ".join(file.name for file in found) or "none"
        raise CheckpointError(f"{path} should hold one yaml that describes a bag; there: {names}")
    return found[0]


def _read_definition(path: Path) -> Definition:
    try:
        fields = yaml.safe_load(path.read_text())
        definition = Definition(**fields)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError) as error:
        raise CheckpointError(
            f"{path} does not describe a bag (models, weights, segment): {error}"
        ) from error
    if not definition.models or not all(isinstance(each, str) for each in definition.models):
        raise CheckpointError(f"{path} names no models")
    return definition


def _file_of(signature: str, folder: Path) -> Path:
    """`signature.safetensors`, `signature.th` or, as Demucs publishes, `signature-checksum.th`."""
    plain = [folder / f"{signature}{suffix}" for suffix in WEIGHTS]
    found = [path for path in (*plain, *sorted(folder.glob(f"{signature}-*.th"))) if path.is_file()]
    if not found:
        raise CheckpointError(
            f"{folder} lacks the model {signature!r} of the bag: put {signature}.safetensors or "
            f"{signature}.th there"
        )
    return _checked(found[0], signature)


def _checked(path: Path, signature: str) -> Path:
    checksum = path.stem.removeprefix(signature).removeprefix("-")
    try:
        check_checksum(path, checksum)
    except ModelLoadingError as error:
        raise CheckpointError(f"{error}: fetch the file again") from error
    return path
