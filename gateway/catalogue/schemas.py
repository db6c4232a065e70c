"""Models as JSON."""

import dataclasses
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from stemcore.catalogue.port import ServedModel

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
    "overlap": 0.25,
    "engine": "onnxruntime",
    "precision": "fp32",
    "profile": "cpu",
    "parameters": 1700000,
    "worst_parity_db": 104.2,
    "parity": [],
    "sdr": None,
    "licences": {"code": "MIT", "weights": "MIT", "noncommercial": False},
    "provenance": {},
    "files": {"1/model.onnx": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"},
}


class LicencesResponse(BaseModel):
    """Under which terms a model may be used."""

    code: str
    weights: str
    noncommercial: bool


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
    overlap: float
    engine: str
    precision: str
    profile: str
    parameters: int
    worst_parity_db: float | None = Field(
        description="The lowest signal-to-error ratio against the reference implementation."
    )
    parity: list[dict[str, Any]] = Field(description="Every comparison with the reference.")
    sdr: dict[str, Any] | None = Field(description="SDR in dB with its test set.")
    licences: LicencesResponse
    provenance: dict[str, str]
    files: dict[str, str] = Field(description="SHA-256 of each file of the model.")

    @classmethod
    def of(cls, model: ServedModel) -> "ModelResponse":
        """The JSON form."""
        card = model.card
        figures = [figure.snr_db for figure in card.parity if figure.snr_db is not None]
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
            overlap=card.overlap,
            engine=card.engine,
            precision=card.precision,
            profile=card.profile,
            parameters=card.parameters,
            worst_parity_db=min(figures, default=None),
            parity=[_as_dict(figure) for figure in card.parity],
            sdr=_as_dict(card.sdr) if card.sdr else None,
            licences=LicencesResponse(**_as_dict(card.licences)),
            provenance=dict(card.provenance),
            files=dict(card.files),
        )


def _as_dict(value: Any) -> dict[str, Any]:
    return dataclasses.asdict(value)


class ModelListResponse(BaseModel):
    """Every model that is loaded."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"items": [EXAMPLE_MODEL], "default_model": "stemyard-mini"}}
    )

    items: list[ModelResponse]
    default_model: str = Field(description="What a submission without `model` is run on.")
