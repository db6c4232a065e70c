"""What a separation job asks for; written by the gateway, read by the orchestrator."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

SEPARATION = "separation"


class AudioFormat(StrEnum):
    """Container and codec of the stems."""

    WAV = "wav"
    FLAC = "flac"


class ClipMode(StrEnum):
    """What happens to samples beyond full scale.

    `clamp` cuts them, `rescale` scales the whole stem as Demucs does
    (`wav / max(1.01 * peak, 1)`), `none` leaves them (float files only).
    """

    CLAMP = "clamp"
    RESCALE = "rescale"
    NONE = "none"


class ComplementMode(StrEnum):
    """How everything but one stem is made: the mix without it, or the sum of the others."""

    SUBTRACT = "subtract"
    SUM = "sum"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputOptions:
    """How stems are written; `sample_rate_hz` None means the source's own rate.

    `bit_depth` is 16, 24 or 32, where 32 means IEEE float and is for WAV alone.
    """

    format: AudioFormat = AudioFormat.WAV
    bit_depth: int = 24
    sample_rate_hz: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SeparationRequest:
    """Model, wanted stems and complements in the model's order, and how to run and write them.

    `overlap` None means the model card's own. `shifts` runs, delayed by what `seed` draws, are
    averaged; none is one run without delay. With `consistency` the model's stems add up to the mix.
    `preset` is what the request came of, if of one; it changes nothing any more.
    """

    model: str
    stems: tuple[str, ...]
    output: OutputOptions = OutputOptions()
    overlap: float | None = None
    clip: ClipMode = ClipMode.CLAMP
    complement: ComplementMode = ComplementMode.SUBTRACT
    shifts: int = 0
    seed: int = 0
    consistency: bool = False
    preset: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The form kept in the job row's `parameters`."""
        return {
            "model": self.model,
            "stems": list(self.stems),
            "output": {
                "format": self.output.format.value,
                "bit_depth": self.output.bit_depth,
                "sample_rate": self.output.sample_rate_hz,
            },
            "overlap": self.overlap,
            "clip": self.clip.value,
            "complement": self.complement.value,
            "shifts": self.shifts,
            "seed": self.seed,
            "consistency": self.consistency,
            "preset": self.preset,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "SeparationRequest":
        """The inverse of `to_dict`; rows written before an option was there have its default."""
        output = data["output"]
        return cls(
            model=data["model"],
            stems=tuple(data["stems"]),
            output=OutputOptions(
                format=AudioFormat(output["format"]),
                bit_depth=output["bit_depth"],
                sample_rate_hz=output["sample_rate"],
            ),
            overlap=data["overlap"],
            clip=ClipMode(data["clip"]),
            complement=ComplementMode(data.get("complement", ComplementMode.SUBTRACT)),
            shifts=data.get("shifts", 0),
            seed=data.get("seed", 0),
            consistency=data.get("consistency", False),
            preset=data.get("preset"),
        )
