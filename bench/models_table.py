"""One table over a model repository: what each model may be run by, how exact, how fast.

    python -m bench.models_table --repository DIR [--write NAME]

Seconds per segment are the bare engine's, on noise, in a process of its own; a bag costs what its
parts cost together. Nothing is measured of an engine without passed evidence.
"""

import argparse
import hashlib
import json
import statistics
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench import record
from bench.songs import ROOT, TRITON
from stemcore.model_card import EngineEvidence, ModelCard

RAW = {("onnxruntime", "fp32"): "onnxruntime"}
COLUMNS = ("model", "engine", "precision", "parity", "size", "s/segment", "x real time", "note")
SEED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A model by one engine; what was not measured is None and `note` says why."""

    model: str
    engine: str
    precision: str
    parity_db: float | None
    size_mb: float
    seconds_per_segment: float | None = None
    times_real_time: float | None = None
    note: str = ""

    def cells(self) -> tuple[str, ...]:
        return (
            self.model,
            self.engine,
            self.precision,
            _shown(self.parity_db, "{:.1f} dB"),
            f"{self.size_mb:.1f} MB",
            _shown(self.seconds_per_segment, "{:.3f}"),
            _shown(self.times_real_time, "{:.1f}"),
            self.note,
        )


def rows_of(repository: Path, *, segments: int) -> Iterator[Row]:
    """Every model that a client can name, and every engine on its card."""
    cards = {
        path.parent.name: ModelCard.from_json(path.read_text())
        for path in sorted(repository.glob("*/card.json"))
    }
    for card in cards.values():
        if card.part_of is not None:
            continue
        parts = [cards[name] for name in card.parts] or [card]
        for engine in (parts[0].own_engine, *parts[0].engines):
            yield _row(repository, card, parts, engine, segments=segments)


def _row(
    repository: Path,
    card: ModelCard,
    parts: list[ModelCard],
    engine: EngineEvidence,
    *,
    segments: int,
) -> Row:
    known = [part.evidence_for(engine.engine, engine.precision) for part in parts]
    proven = [evidence for evidence in known if evidence is not None]
    figures = [f.snr_db for each in proven for f in each.parity if f.snr_db is not None]
    row = Row(
        model=card.name,
        engine=engine.engine,
        precision=engine.precision,
        parity_db=min(figures, default=None),
        size_mb=sum(_size_mb(repository / part.name, part) for part in parts),
    )
    if complaint := _complaint(repository, parts, known):
        return _with(row, note=complaint)
    raw = RAW.get((engine.engine, engine.precision), f"{engine.engine}-{engine.precision}")
    seconds = sum(_seconds(repository / part.name, part, raw, count=segments) for part in parts)
    hop_s = card.hop_samples() / card.sample_rate
    return _with(row, seconds_per_segment=seconds, times_real_time=hop_s / seconds)


def _complaint(repository: Path, parts: list[ModelCard], known: list[EngineEvidence | None]) -> str:
    for part in parts:
        for path, digest in part.files.items():
            if hashlib.sha256((repository / part.name / path).read_bytes()).hexdigest() != digest:
                return f"{part.name}/{path} is not the card's"
    if not all(evidence is not None and evidence.passed for evidence in known):
        return "parity not passed: not served"
    return "" if parts[0].profile.startswith("cpu") else "not measured: a GPU's profile"


def _seconds(folder: Path, card: ModelCard, raw: str, *, count: int) -> float:
    shape = (count, card.channels, card.segment_samples)
    noise = np.random.default_rng(SEED).standard_normal(shape, dtype=np.float32)
    with tempfile.NamedTemporaryFile(suffix=".npy") as file:
        np.save(file.name, noise)
        (model,) = [folder / path for path in card.files if path.endswith(".onnx")]
        command = [TRITON, "-m", "bench.raw_engine", raw, model, file.name, "--stride", "1"]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return statistics.median(json.loads(done.stdout))


def _size_mb(folder: Path, card: ModelCard) -> float:
    return sum((folder / path).stat().st_size for path in card.files) / 1e6


def _with(row: Row, **changes: Any) -> Row:
    return Row(**asdict(row) | changes)


def _shown(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def table(rows: list[Row]) -> str:
    """Markdown."""
    lines = [COLUMNS, tuple("---" for _ in COLUMNS), *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.models_table", description=__doc__)
    parser.add_argument("--repository", type=Path, default=ROOT / "model_repository")
    parser.add_argument("--segments", type=int, default=3, help="timed after a warm-up")
    parser.add_argument("--write", metavar="NAME", help="also bench/results/NAME.json")
    options = parser.parse_args()
    rows = list(rows_of(options.repository, segments=options.segments))
    print(table(rows))
    if options.write:
        print(record.write(options.write, {"models": [asdict(row) for row in rows]}))


if __name__ == "__main__":
    main()
