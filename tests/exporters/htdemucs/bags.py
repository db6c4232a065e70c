"""Bags of two small HTDemucs with weights from seeds, as files."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import yaml

from exporters.htdemucs.checkpoint import RANDOM_WEIGHTS, TRAINED_ON, save_checkpoint
from exporters.htdemucs.random_weights import SIZES, random_htdemucs

STEMS = ("drums", "vocals")
SEGMENT_S = Fraction(3, 10)
ONE_HOT = ((1.0, 0.0), (0.0, 1.0))


def write_bag(folder: Path, *, weights: Sequence[Sequence[float]] | None = ONE_HOT) -> Path:
    """A model for each stem and the yaml that Demucs reads; returns the yaml."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(len(STEMS)):
        write_model(folder / f"model{seed}.safetensors", seed=seed)
    return write_definition(folder, weights=weights)


def write_model(path: Path, *, seed: int, **changes: Any) -> Path:
    size = SIZES["tiny"] | {"sources": list(STEMS), "segment": SEGMENT_S} | changes
    model = random_htdemucs(seed=seed, **size)
    save_checkpoint(model, path, provenance={TRAINED_ON: RANDOM_WEIGHTS})
    return path


def write_definition(
    folder: Path,
    *,
    models: Sequence[str] = ("model0", "model1"),
    weights: Sequence[Sequence[float]] | None = ONE_HOT,
) -> Path:
    path = folder / "small_ft.yaml"
    rows = {} if weights is None else {"weights": [list(row) for row in weights]}
    path.write_text(yaml.safe_dump({"models": list(models)} | rows))
    return path
