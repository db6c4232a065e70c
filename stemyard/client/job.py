"""A job as the API shows it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class StemFile:
    """One result file; `made_by` is `model`, or how a complement came about."""

    stem: str
    filename: str
    size_bytes: int
    sha256: str
    made_by: str = "model"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """The fields a caller acts on; `document` is the whole answer."""

    id: str
    status: str
    stage: str
    progress: float
    eta_s: float | None
    error_code: str | None
    error_message: str | None
    stems: tuple[StemFile, ...]
    document: Mapping[str, Any]

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Job":
        """From the JSON of `GET /v1/jobs/{id}`."""
        error: Mapping[str, Any] = document.get("error") or {}
        return cls(
            id=document["id"],
            status=document["status"],
            stage=document.get("stage") or "",
            progress=float(document.get("progress") or 0.0),
            eta_s=document.get("eta_s"),
            error_code=error.get("error_code"),
            error_message=error.get("message"),
            stems=tuple(_stem(result) for result in document.get("results") or ()),
            document=document,
        )

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen by itself."""
        return self.status in ("succeeded", "failed", "cancelled")


def _stem(result: Mapping[str, Any]) -> StemFile:
    return StemFile(
        stem=result["name"],
        filename=result["filename"],
        size_bytes=result["size_bytes"],
        sha256=result["sha256"],
        made_by=result.get("made_by", "model"),
    )
