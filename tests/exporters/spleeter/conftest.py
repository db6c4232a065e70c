"""Small Spleeters of random weights, and what the real one makes of the trial songs with them."""

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from exporters.audio import Audio
from exporters.card_writer import ModelFolder
from exporters.export import export_model
from exporters.reference import Reference, SongSeparator
from exporters.spleeter.family import LoadSpleeter, Original
from exporters.spleeter.program import SpleeterProgram

FILTERS = ("2", "3", "4", "5", "6", "7")
VARIANTS = ("2stems", "5stems")


@dataclass(frozen=True)
class Remembered:
    """Asks the real Spleeter once for each song: it takes seconds to build its graph."""

    separator: SongSeparator
    answers: dict[str, dict[str, Audio]] = field(default_factory=dict[str, dict[str, Audio]])

    def separate(self, songs: Sequence[Audio]) -> list[dict[str, Audio]]:
        keys = [hashlib.sha256(song.tobytes()).hexdigest() for song in songs]
        new = {key: song for key, song in zip(keys, songs, strict=True) if key not in self.answers}
        if new:
            answers = self.separator.separate(list(new.values()))
            self.answers.update(zip(new, answers, strict=True))
        return [self.answers[key] for key in keys]


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Directories as Spleeter downloads them, by its names."""
    root = tmp_path_factory.mktemp("spleeter")

    def make(name: str) -> Path:
        chosen = ["--configuration", f"spleeter:{name}", "--filters", *FILTERS]
        SpleeterProgram().run("random-checkpoint", *chosen, "--output", root / name)
        return root / name

    with ThreadPoolExecutor() as pool:
        return dict(zip(VARIANTS, pool.map(make, VARIANTS), strict=True))


@pytest.fixture(scope="session")
def references(checkpoints: Mapping[str, Path]) -> Mapping[str, Reference]:
    """Each with Spleeter itself behind a memory."""

    def load(name: str) -> Reference:
        reference = LoadSpleeter()(str(checkpoints[name]))
        assert isinstance(reference.model, Original)
        return replace(reference, model=Remembered(reference.model))

    with ThreadPoolExecutor() as pool:
        return dict(zip(VARIANTS, pool.map(load, VARIANTS), strict=True))


@pytest.fixture(scope="session")
def exported(
    references: Mapping[str, Reference], tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, ModelFolder]:
    """Unverified exports, not to be written to."""
    repository = tmp_path_factory.mktemp("models")
    return {
        name: export_model(reference, name=f"spleeter-{name}", repository=repository)
        for name, reference in references.items()
    }
