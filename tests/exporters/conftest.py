from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from demucs.htdemucs import HTDemucs

from exporters.card_writer import ModelFolder
from exporters.export import export_model
from exporters.htdemucs.checkpoint import RANDOM_WEIGHTS, TRAINED_ON, save_checkpoint
from exporters.htdemucs.family import load_htdemucs
from exporters.htdemucs.random_weights import SIZES, random_htdemucs
from exporters.reference import Reference

SHORT_S = Fraction(6, 5)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """These models are too small to share among threads, which would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def model() -> HTDemucs:
    return random_htdemucs(seed=1, **SIZES["tiny"] | {"segment": SHORT_S})


@pytest.fixture(scope="session")
def checkpoint(model: HTDemucs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "short.safetensors"
    save_checkpoint(model, path, provenance={TRAINED_ON: RANDOM_WEIGHTS})
    return path


@pytest.fixture(scope="session")
def reference(checkpoint: Path) -> Reference:
    return load_htdemucs(str(checkpoint))


@pytest.fixture(scope="session")
def exported(reference: Reference, tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    """An unverified export, not to be written to."""
    return export_model(reference, name="short", repository=tmp_path_factory.mktemp("models"))
