"""Spleeter's checkpoints: directories with `checkpoint`, `model.index` and `model.data-*`."""

import hashlib
import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from exporters.errors import CheckpointError
from exporters.facts import CHECKPOINT_SHA256
from exporters.spleeter.configuration import PROVENANCE_FILE, RANDOM_WEIGHTS, TRAINED_ON
from exporters.spleeter.program import Imported, SpleeterProgram

PUBLISHED = ("2stems", "4stems", "5stems")
PUBLISHED_AS = "published_as"

_NEWEST = re.compile(r'^model_checkpoint_path:\s*"(?P<path>.+)"', re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    imported: Imported
    provenance: Mapping[str, str]

    @property
    def random_weights(self) -> bool:
        return self.provenance.get(TRAINED_ON) == RANDOM_WEIGHTS


def load_checkpoint(
    source: str, *, suffix: str, program: SpleeterProgram, downloads: Path
) -> Checkpoint:
    """A directory as Spleeter downloads it, or the name of one to download.

    Raises CheckpointError or UnsupportedModel.
    """
    directory = Path(source)
    if not directory.exists() and source in PUBLISHED:
        directory = fetched(source, program=program, downloads=downloads)
        notes = {PUBLISHED_AS: f"spleeter:{source}"}
    else:
        notes = _notes(directory)
    prefix = newest_prefix(directory)
    imported = program.read(directory, suffix=suffix)
    own = {
        "checkpoint": directory.name,
        CHECKPOINT_SHA256: digest_of(prefix),
        "configuration": imported.configuration.descriptor,
    }
    return Checkpoint(imported=imported, provenance=notes | own)


def fetched(name: str, *, program: SpleeterProgram, downloads: Path) -> Path:
    """The directory of that name below `downloads`, whole or not there at all."""
    directory = downloads / name
    if directory.exists():
        return directory
    downloads.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{name}.", dir=downloads) as scratch:
        whole = Path(scratch) / name
        whole.mkdir()
        try:
            program.fetch(name, whole)
        except CheckpointError as error:
            raise CheckpointError(
                f"{error}; without a network, pass the directory of a model that was fetched "
                "elsewhere as --checkpoint"
            ) from error
        whole.rename(directory)
    return directory


def newest_prefix(directory: Path) -> Path:
    """What the files of the newest checkpoint begin with; raises CheckpointError unless whole."""
    if not directory.is_dir():
        raise CheckpointError(
            f"{directory} is no directory: pass one as Spleeter downloads them, or one of "
            f"{', '.join(PUBLISHED)}"
        )
    state = directory / "checkpoint"
    found = _NEWEST.search(state.read_text()) if state.is_file() else None
    if found is None:
        raise CheckpointError(_lacks(directory, "checkpoint", "which names the newest one"))
    prefix = directory / found["path"]
    if not Path(f"{prefix}.index").is_file():
        raise CheckpointError(_lacks(directory, f"{prefix.name}.index", "the list of variables"))
    if not _data_files(prefix):
        raise CheckpointError(_lacks(directory, f"{prefix.name}.data-*", "the variables"))
    return prefix


def digest_of(prefix: Path) -> str:
    """sha256 of the index and the data, one after the other."""
    digest = hashlib.sha256()
    for path in (Path(f"{prefix}.index"), *_data_files(prefix)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _data_files(prefix: Path) -> list[Path]:
    return sorted(prefix.parent.glob(f"{prefix.name}.data-*"))


def _lacks(directory: Path, name: str, meaning: str) -> str:
    return f"{directory} lacks {name}, {meaning}: copy the whole directory of the model again"


def _notes(directory: Path) -> dict[str, str]:
    """What our own tools wrote beside a checkpoint; TensorFlow's format has no place for words."""
    path = directory / PROVENANCE_FILE
    if not path.is_file():
        return {}
    try:
        return {str(key): str(text) for key, text in json.loads(path.read_text()).items()}
    except (ValueError, AttributeError) as error:
        raise CheckpointError(f"{path} is no JSON object of words: {error}") from error
