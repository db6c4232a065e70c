"""The bank: rendered stems on disk as 16-bit PCM, read by random access while training."""

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt

import synthesis
from synthesis import STEMS
from synthesis.signal import SAMPLE_RATE_HZ, Signal
from synthesis.song import mixed
from training import songs
from training.errors import MissingBankError
from training.manifest import Manifest, Palette

_SCALE = 32_767.0
_CHUNK = 6
_SAMPLED_SEED = 0
_LOW_MELODIC_SEED = 100_000
_VARIED_SEED = 200_000
_SYNTHETIC_SEED = 500_000
_VALIDATION_OFFSET = 250_000
_MOST_SONGS = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class BankPlan:
    """How many songs of `duration_s` with sampled and with purely synthetic sources.

    The `low_melodic` ones are sampled, with a melodic instrument on the bass line; the `varied`
    ones take their instruments from all fonts.
    """

    sampled: int = 0
    synthetic: int = 0
    low_melodic: int = 0
    varied: int = 0
    duration_s: float
    validation: bool = False

    @property
    def items(self) -> int:
        return self.sampled + self.synthetic + self.low_melodic + self.varied

    @property
    def samples(self) -> int:
        return round(self.duration_s * SAMPLE_RATE_HZ)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bank:
    """`stems` maps each stem to int16 (items, samples, 2); all songs use training sources."""

    plan: BankPlan
    stems: Mapping[str, npt.NDArray[np.int16]]

    def excerpt(self, stem: str, item: int, *, start: int, samples: int) -> Signal:
        """Float32 (2, samples) of one stem."""
        pcm = self.stems[stem][item, start : start + samples]
        return pcm.T.astype(np.float32) / np.float32(_SCALE)

    def sampled_songs(self) -> Iterator[tuple[Signal, dict[str, Signal]]]:
        """(mix, stems) of every song of sampled instruments, whole."""
        for item in range(self.plan.sampled):
            stems = {
                name: self.excerpt(name, item, start=0, samples=self.plan.samples) for name in STEMS
            }
            yield mixed(stems), stems


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chunk:
    root: Path
    plan: BankPlan
    palette: Palette | None
    first: int
    seeds: tuple[int, ...]


def prepare(root: Path, plan: BankPlan, manifest: Manifest, *, workers: int) -> None:
    """Render every song of the plan into `root`, unless it holds them already."""
    described = root / "bank.json"
    if described.exists() and BankPlan(**json.loads(described.read_text())) == plan:
        return
    described.unlink(missing_ok=True)
    root.mkdir(parents=True, exist_ok=True)
    for stem in STEMS:
        shape = (plan.items, plan.samples, 2)
        np.lib.format.open_memmap(_file(root, stem), mode="w+", dtype=np.int16, shape=shape)
    chunks = _chunks(root, plan, manifest)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        list(pool.map(_render_chunk, chunks))
    described.write_text(json.dumps(asdict(plan)))


def load(root: Path) -> Bank:
    """A complete bank. Raises MissingBankError."""
    try:
        plan = BankPlan(**json.loads((root / "bank.json").read_text()))
    except FileNotFoundError as error:
        raise MissingBankError(f"no bank in {root}: run `python -m training prepare`") from error
    stems = {stem: np.load(_file(root, stem), mmap_mode="r") for stem in STEMS}
    return Bank(plan=plan, stems=stems)


def seeds_in_use() -> range:
    """Every seed that training or validation songs may have."""
    return range(_SAMPLED_SEED, _SYNTHETIC_SEED + _VALIDATION_OFFSET + _MOST_SONGS)


def _file(root: Path, stem: str) -> Path:
    return root / f"{stem}.npy"


def _chunks(root: Path, plan: BankPlan, manifest: Manifest) -> list[_Chunk]:
    offset = _VALIDATION_OFFSET if plan.validation else 0
    chunks = []
    palette = manifest.training
    low = songs.with_low_melodic_basses(palette)
    every = palette + manifest.further
    first = 0
    for played_by, count, base in (
        (palette, plan.sampled, _SAMPLED_SEED + offset),
        (None, plan.synthetic, _SYNTHETIC_SEED + offset),
        (low, plan.low_melodic, _LOW_MELODIC_SEED + offset),
        (every, plan.varied, _VARIED_SEED + offset),
    ):
        for start in range(0, count, _CHUNK):
            seeds = tuple(base + index for index in range(start, min(start + _CHUNK, count)))
            chunks.append(
                _Chunk(
                    root=root,
                    plan=plan,
                    palette=played_by,
                    first=first + start,
                    seeds=seeds,
                )
            )
        first += count
    return chunks


def _render_chunk(chunk: _Chunk) -> None:
    duration_s = chunk.plan.duration_s
    if chunk.palette:
        rendered = songs.render(chunk.palette, seeds=list(chunk.seeds), duration_s=duration_s)
        stem_sets = [song.stems for song in rendered]
    else:
        stem_sets = [synthesis.song(seed=s, duration_s=duration_s).stems for s in chunk.seeds]
    for index, stems in enumerate(stem_sets):
        peak = max(1.0, *(float(np.abs(stem).max()) for stem in stems.values()))
        for name, stem in stems.items():
            pcm = np.load(_file(chunk.root, name), mmap_mode="r+")
            pcm[chunk.first + index] = np.round(stem.T * (_SCALE / peak)).astype(np.int16)
            pcm.flush()
