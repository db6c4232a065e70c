"""The model card: how a public model is run, and the evidence that it may be.

The same JSON is `card.json` beside the model and the parameter `card` of its config.pbtxt, so both
services read the catalogue from Triton itself.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from stemcore import strict_json

CARD_PARAMETER = "card"
SCHEMA_VERSION = 1
ALLOWED_SDR_LOSS_DB = 0.05

Profile = Literal["cpu", "cpu-batched", "gpu-onnx", "gpu-tensorrt", "gpu-plan"]

_SHA256 = re.compile(r"[0-9a-f]{64}")
_TRITON_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class CardError(ValueError):
    """The text is no card of this schema, or its fields contradict each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StemSource:
    """Where a public stem comes from: a Triton model and one of its outputs."""

    stem: str
    model: str
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityFigure:
    """One comparison with the reference; the worst stem counts.

    Either a signal-to-error ratio with its floor, or, where the reference is silent, the largest
    absolute error with its ceiling.
    """

    step: str
    signal: str
    worst_stem: str
    passed: bool
    snr_db: float | None = None
    required_db: float | None = None
    abs_error: float | None = None
    allowed_abs_error: float | None = None

    def __post_init__(self) -> None:
        if self.passed != self._holds():
            raise CardError(f"parity figure {self.step}/{self.signal} contradicts its own verdict")

    def _holds(self) -> bool:
        if self.snr_db is not None and self.required_db is not None:
            return self.snr_db >= self.required_db
        if self.abs_error is not None and self.allowed_abs_error is not None:
            return self.abs_error <= self.allowed_abs_error
        raise CardError(f"parity figure {self.step}/{self.signal} has no figure or no limit")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineEvidence:
    """What lets another engine, or another precision, serve the very files of a card.

    `sdr_lost_db` by stem: how far the median SDR of a set of songs falls below the card's own
    engine. Without judged songs it is empty, and parity alone decides.
    """

    engine: str
    precision: str
    parity: tuple[ParityFigure, ...]
    sdr_lost_db: Mapping[str, float] = field(default_factory=dict[str, float])
    sdr_songs: int = 0

    @property
    def passed(self) -> bool:
        loses_little = max(self.sdr_lost_db.values(), default=0.0) <= ALLOWED_SDR_LOSS_DB
        return bool(self.parity) and all(figure.passed for figure in self.parity) and loses_little


@dataclass(frozen=True, slots=True, kw_only=True)
class SdrEvidence:
    """SDR in dB: 10 log10 of |s|^2 over |s - e|^2, whole song, median over the songs of a set."""

    test_set: str
    songs: int
    median_db: Mapping[str, float]
    yardsticks: Mapping[str, Mapping[str, float]] = field(
        default_factory=dict[str, dict[str, float]]
    )
    per_song_db: Mapping[str, Mapping[str, float]] = field(
        default_factory=dict[str, dict[str, float]]
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Licences:
    code: str
    weights: str
    noncommercial: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """A plan in samples, and evidence.

    `files` maps each file of the model, relative to the model's folder, to its sha256. A bag has
    none of its own: its `parts` maps each of its models to the digest of that model's card, and
    such a model's card is `part_of` the bag, not for clients to choose.
    `parity` is that of `engine` at `precision`; `engines` are the others that may stand in.
    `normalisation` "track" takes mean and deviation of the whole track's mono mix off before the
    first segment and puts them back at the end, as demucs.api.Separator does.
    `join` "mean" is Demucs' weighted mean of overlapping windows, a short one centred. "sum" adds
    windows that stand `hop` apart, the first `lead_in_samples` before the track, with silence
    around it: Spleeter's frames, of which those at a seam are in both windows in parts.
    """

    schema_version: int = SCHEMA_VERSION
    name: str
    description: str
    family: str
    stems: tuple[StemSource, ...]
    sample_rate: int
    channels: int = 2
    segment_samples: int
    overlap: float = 0.25
    hop: int | None = None
    lead_in_samples: int = 0
    tail_samples: int = 0
    join: Literal["mean", "sum"] = "mean"
    weights: Literal["triangular", "none"] = "triangular"
    normalisation: Literal["track", "none"] = "track"
    engine: str = "onnxruntime"
    precision: str = "fp32"
    output_precision: Literal["fp32", "fp16"] = "fp32"
    profile: Profile = "cpu"
    max_batch_size: int = 1
    parameters: int
    files: Mapping[str, str] = field(default_factory=dict[str, str])
    parts: Mapping[str, str] = field(default_factory=dict[str, str])
    part_of: str | None = None
    parity: tuple[ParityFigure, ...] = ()
    engines: tuple[EngineEvidence, ...] = ()
    sdr: SdrEvidence | None = None
    licences: Licences
    provenance: Mapping[str, str] = field(default_factory=dict[str, str])
    demonstration: bool = False

    def __post_init__(self) -> None:
        _check(self.schema_version == SCHEMA_VERSION, f"unknown schema {self.schema_version}")
        _check(_TRITON_NAME.fullmatch(self.name), f"not a model name: {self.name!r}")
        _check(self.stems, "no stems")
        _check(len(set(self.stem_names)) == len(self.stems), "a stem appears twice")
        _check(min(self.sample_rate, self.channels, self.segment_samples) > 0, "sizes must be > 0")
        _check(min(self.lead_in_samples, self.tail_samples) >= 0, "margins must be >= 0")
        _check(self.max_batch_size > 0, "max_batch_size must be > 0")
        _check(0 <= self.overlap < 1, "overlap must be in [0, 1)")
        _check(
            (self.join == "sum") == (self.hop is not None) == (self.weights == "none"),
            "windows are summed at a fixed hop, and only then without weights",
        )
        _check(self.hop is None or 0 < self.hop <= self.segment_samples, "hop out of range")
        _check(bool(self.files) != bool(self.parts), "a model has either files or parts")
        for path, digest in {**self.files, **self.parts}.items():
            _check(_SHA256.fullmatch(digest), f"not a sha256: {path}")
        if self.parts:
            _check({source.model for source in self.stems} <= set(self.parts), "stem of no part")

    @classmethod
    def from_json(cls, text: str) -> "ModelCard":
        """Raises CardError on anything but a valid card of this schema version."""
        try:
            return strict_json.load(cls, text)
        except strict_json.StrictJsonError as error:
            raise CardError(str(error)) from error

    def to_json(self) -> str:
        return strict_json.dump(self)

    @property
    def stem_names(self) -> tuple[str, ...]:
        return tuple(source.stem for source in self.stems)

    @property
    def segment_s(self) -> float:
        return self.segment_samples / self.sample_rate

    @property
    def parity_passed(self) -> bool:
        return bool(self.parity) and all(figure.passed for figure in self.parity)

    @property
    def digest(self) -> str:
        """What a claim pins: it changes with any file of the model, or of its parts, and with what
        runs them."""
        contents = sorted({**self.files, **self.parts}.items())
        lines = "".join(f"{path} {digest}\n" for path, digest in contents)
        runs = f"{self.engine} {self.precision}\n"
        return hashlib.sha256((runs + lines).encode()).hexdigest()

    @property
    def own_engine(self) -> EngineEvidence:
        return EngineEvidence(engine=self.engine, precision=self.precision, parity=self.parity)

    def evidence_for(self, engine: str, precision: str) -> EngineEvidence | None:
        """The card's own engine included."""
        known = {(each.engine, each.precision): each for each in (*self.engines, self.own_engine)}
        return known.get((engine, precision))

    def served_by(self, evidence: EngineEvidence) -> "ModelCard":
        """The card of the same files where another engine runs them."""
        return replace(
            self,
            engine=evidence.engine,
            precision=evidence.precision,
            parity=evidence.parity,
        )

    def hop_samples(self, overlap: float | None = None) -> int:
        """Demucs' own float expression: rounding it otherwise is off by one for some overlaps.

        A fixed hop stays as it is.
        """
        if self.hop is not None:
            return self.hop
        chosen = self.overlap if overlap is None else overlap
        return int((1 - chosen) * self.segment_samples)


def _check(holds: object, complaint: str) -> None:
    if not holds:
        raise CardError(complaint)
