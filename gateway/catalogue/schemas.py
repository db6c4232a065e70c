"""Models as JSON."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from stemcore.catalogue.port import ServedModel
from stemcore.model_card import EngineEvidence, ParityFigure
from stemcore.presets import PRESETS, Preset, choose_for
from stemcore.stem_choice import complements_of

EXAMPLE_MODEL: dict[str, Any] = {
    "name": "stemyard-mini",
    "description": "A small demonstration model.",
    "family": "htdemucs",
    "stems": ["drums", "bass", "other", "vocals"],
    "ready": True,
    "usable": True,
    "refusal": None,
    "demonstration": True,
    "sample_rate_hz": 44100,
    "channels": 2,
    "segment_s": 7.8,
    "complements": ["no_drums", "no_bass", "no_other", "no_vocals", "instrumental"],
    "hop_s": 5.85,
    "overlap": 0.25,
    "join": "mean",
    "engine": "onnxruntime",
    "precision": "fp32",
    "profile": "cpu",
    "max_batch_size": 1,
    "parameters": 1700000,
    "seconds_per_segment": 0.61,
    "times_real_time": 9.6,
    "worst_parity_db": 104.2,
    "parity": [],
    "engines": [
        {
            "engine": "openvino",
            "precision": "bf16",
            "passed": True,
            "worst_parity_db": 41.3,
            "sdr_lost_db": {"drums": 0.004, "bass": 0.002, "other": 0.003, "vocals": 0.002},
            "sdr_songs": 50,
        }
    ],
    "sdr": None,
    "licences": {"code": "MIT", "weights": "MIT", "noncommercial": False},
    "provenance": {},
    "digest": "d7a8fbb307d7809469ca9abcb0082e4f8d5651e46d3cdb762d02d0bf37c9e592",
    "files": {"1/model.onnx": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"},
    "parts": {},
}
EXAMPLE_PRESET: dict[str, Any] = {
    "name": "karaoke",
    "purpose": "Sing it yourself",
    "description": "The song without its vocals.",
    "stems": ["instrumental"],
    "options": {},
    "available": True,
    "model": "stemyard-mini",
}


class LicencesResponse(BaseModel):
    """Under which terms a model may be used."""

    code: str
    weights: str
    noncommercial: bool


class EngineResponse(BaseModel):
    """An engine that may stand in for the card's own, and the evidence for it."""

    engine: str
    precision: str
    passed: bool
    worst_parity_db: float | None
    sdr_lost_db: dict[str, float] = Field(description="Against the card's own engine, by stem.")
    sdr_songs: int

    @classmethod
    def of(cls, evidence: EngineEvidence) -> "EngineResponse":
        """The JSON form."""
        return cls(
            engine=evidence.engine,
            precision=evidence.precision,
            passed=evidence.passed,
            worst_parity_db=_worst(evidence.parity),
            sdr_lost_db=dict(evidence.sdr_lost_db),
            sdr_songs=evidence.sdr_songs,
        )


class ModelResponse(BaseModel):
    """A model card: what it separates, how it is run, and the evidence for it."""

    model_config = ConfigDict(json_schema_extra={"example": EXAMPLE_MODEL})

    name: str
    description: str
    family: str
    stems: list[str]
    ready: bool = Field(description="Whether the inference server has it ready.")
    usable: bool = Field(description="Ready, and not refused.")
    refusal: str | None = Field(description="Why it may not be used, if it may not.")
    demonstration: bool
    sample_rate_hz: int
    channels: int
    segment_s: float
    complements: list[str] = Field(
        description="What can be asked for beside the stems: everything but one of them."
    )
    hop_s: float = Field(description="From the start of one segment to the next.")
    overlap: float = Field(description="Of segments; without meaning where `join` is `sum`.")
    join: Literal["mean", "sum"] = Field(
        description="Whether overlapping segments are averaged, or frames at their seams added up."
    )
    engine: str
    precision: str
    profile: str
    max_batch_size: int
    parameters: int
    seconds_per_segment: float | None = Field(
        description="What the inference server has measured here since it loaded the model, of all "
        "stems and in one instance; null while it has computed nothing."
    )
    times_real_time: float | None = Field(
        description="Seconds of audio per second, by `seconds_per_segment` and the card's own hop."
    )
    worst_parity_db: float | None = Field(
        description="The lowest signal-to-error ratio against the reference implementation."
    )
    parity: list[dict[str, Any]] = Field(description="Every comparison with the reference.")
    engines: list[EngineResponse] = Field(description="Others that may run the same files.")
    sdr: dict[str, Any] | None = Field(description="SDR in dB with its test set.")
    licences: LicencesResponse
    provenance: dict[str, str]
    digest: str = Field(description="Of files and engine: what a job is bound to.")
    files: dict[str, str] = Field(description="SHA-256 of each file of the model.")
    parts: dict[str, str] = Field(
        description="Of a bag, the models that make its stems, with the digest of each one's card."
    )

    @classmethod
    def of(cls, model: ServedModel) -> "ModelResponse":
        """The JSON form."""
        card = model.card
        return cls(
            name=card.name,
            description=card.description,
            family=card.family,
            stems=list(card.stem_names),
            ready=model.ready,
            usable=model.usable,
            refusal=model.refusal,
            demonstration=card.demonstration,
            sample_rate_hz=card.sample_rate,
            channels=card.channels,
            segment_s=card.segment_s,
            complements=list(complements_of(card.stem_names)),
            hop_s=card.hop_samples() / card.sample_rate,
            overlap=card.overlap,
            join=card.join,
            engine=card.engine,
            precision=card.precision,
            profile=card.profile,
            max_batch_size=card.max_batch_size,
            parameters=card.parameters,
            seconds_per_segment=_rounded(model.speed and model.speed.seconds_per_segment),
            times_real_time=_rounded(model.times_real_time),
            worst_parity_db=_worst(card.parity),
            parity=[_as_dict(figure) for figure in card.parity],
            engines=[EngineResponse.of(evidence) for evidence in card.engines],
            sdr=_as_dict(card.sdr) if card.sdr else None,
            licences=LicencesResponse(**_as_dict(card.licences)),
            provenance=dict(card.provenance),
            digest=card.digest,
            files=dict(card.files),
            parts=dict(card.parts),
        )


def _as_dict(value: Any) -> dict[str, Any]:
    return dataclasses.asdict(value)


def _worst(parity: Sequence[ParityFigure]) -> float | None:
    return min((figure.snr_db for figure in parity if figure.snr_db is not None), default=None)


def _rounded(figure: float | None) -> float | None:
    return None if figure is None else round(figure, 4)


class ModelListResponse(BaseModel):
    """Every model that is loaded."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"items": [EXAMPLE_MODEL], "default_model": "stemyard-mini"}}
    )

    items: list[ModelResponse]
    default_model: str = Field(description="What a submission without `model` is run on.")


class PresetResponse(BaseModel):
    """A purpose, and the model that serves it best now."""

    model_config = ConfigDict(json_schema_extra={"example": EXAMPLE_PRESET})

    name: str
    purpose: str
    description: str
    stems: list[str] = Field(description="Stems and complements; none: all of the model's.")
    options: dict[str, Any] = Field(
        description="Fields of a submission, as `POST /v1/jobs` takes them."
    )
    available: bool = Field(description="Whether a model is ready that makes these stems.")
    model: str | None = Field(
        description="What a submission with this preset is run on now; null where no model that "
        "may be used makes these stems."
    )

    @classmethod
    def of(cls, preset: Preset, models: Sequence[ServedModel]) -> "PresetResponse":
        """The JSON form."""
        model = choose_for(preset, models, stems=preset.stems)
        return cls(
            name=preset.name,
            purpose=preset.purpose,
            description=preset.description,
            stems=list(preset.stems),
            options=dict(preset.options),
            available=model is not None and model.ready,
            model=model.card.name if model is not None else None,
        )


class PresetListResponse(BaseModel):
    """Every preset there is."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [EXAMPLE_PRESET]}})

    items: list[PresetResponse]

    @classmethod
    def of(cls, models: Sequence[ServedModel]) -> "PresetListResponse":
        """The JSON form, by these models."""
        return cls(items=[PresetResponse.of(preset, models) for preset in PRESETS])
