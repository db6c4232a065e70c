"""The card of an exported model, and the folder Triton reads it from."""

import dataclasses
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from google.protobuf import text_format

from exporters.errors import ModelFolderError
from exporters.facts import ModelFacts
from exporters.profiles import PROFILES
from exporters.specification import OPSET, WaveformSpecification
from exporters.triton_config import MODEL_FILE, configured_threads, parse_config, render_config
from stemcore.model_card import CardError, ModelCard, Profile, StemSource

CARD_FILE = "card.json"
CONFIG_FILE = "config.pbtxt"
MODEL_PATH = f"1/{MODEL_FILE}"


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """`repository/name` with config.pbtxt, card.json and 1/model.onnx."""

    path: Path

    @property
    def model(self) -> Path:
        return self.path / MODEL_PATH

    def read_card(self) -> ModelCard:
        try:
            return ModelCard.from_json((self.path / CARD_FILE).read_text())
        except (OSError, CardError) as error:
            raise ModelFolderError(f"{self.path} has no readable card: {error}") from error

    def read_threads(self) -> int:
        try:
            return configured_threads(parse_config((self.path / CONFIG_FILE).read_text()))
        except (OSError, text_format.ParseError) as error:
            raise ModelFolderError(f"{self.path} has no readable config: {error}") from error

    def write(self, card: ModelCard, *, threads: int) -> None:
        """Card and config, each replaced in one move."""
        pretty = json.dumps(json.loads(card.to_json()), indent=2, ensure_ascii=False) + "\n"
        _replace(self.path / CARD_FILE, pretty)
        _replace(self.path / CONFIG_FILE, render_config(card, threads=threads))


@contextmanager
def new_model_folder(repository: Path, name: str) -> Iterator[ModelFolder]:
    """A folder to fill, moved to `repository/name` when the block ends well, else removed."""
    repository.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=repository))
    try:
        (staging / MODEL_PATH).parent.mkdir()
        staging.chmod(0o755)
        yield ModelFolder(staging)
        move_into_place(staging, repository / name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


@contextmanager
def new_models(repository: Path) -> Iterator[Path]:
    """A repository to make models in; they are moved to `repository` when the block ends well.

    A bag goes after its parts.
    """
    repository.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".new.", dir=repository))
    try:
        yield staging
        folders = [ModelFolder(path.parent) for path in staging.glob(f"*/{CARD_FILE}")]
        for folder in sorted(folders, key=lambda each: len(each.read_card().parts)):
            move_into_place(folder.path, repository / folder.path.name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def write_bag(folder: Path, card: ModelCard) -> None:
    """A folder for the ensemble, which has no file; Triton wants a version even of that."""
    (folder / "1").mkdir(parents=True)
    ModelFolder(folder).write(card, threads=0)


def make_card(
    specification: WaveformSpecification,
    *,
    facts: ModelFacts,
    profile: Profile,
    model_file: Path,
    part_of: str | None = None,
) -> ModelCard:
    """A card without parity: what is not verified is not served."""
    return ModelCard(
        name=specification.name,
        description=facts.description,
        family=specification.family,
        stems=tuple(
            StemSource(stem=stem, model=specification.name, output=stem)
            for stem in specification.stems
        ),
        sample_rate=specification.sample_rate,
        channels=specification.channels,
        segment_samples=specification.segment_samples,
        **dataclasses.asdict(specification.joining),
        profile=profile,
        max_batch_size=PROFILES[profile].max_batch_size,
        parameters=specification.parameters,
        files={MODEL_PATH: file_sha256(model_file)},
        part_of=part_of,
        sdr=facts.sdr,
        licences=facts.licences,
        provenance=dict(facts.provenance) | {"opset": str(OPSET)},
        demonstration=facts.demonstration,
    )


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def move_into_place(staging: Path, destination: Path) -> None:
    """A folder cannot replace a full one in one move, so the old one steps aside first."""
    if destination.exists():
        aside = Path(tempfile.mkdtemp(prefix=f".{destination.name}.", dir=destination.parent))
        destination.rename(aside / "old")
        staging.rename(destination)
        shutil.rmtree(aside)
    else:
        staging.rename(destination)


def _replace(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text)
    partial.replace(path)
