"""A preset as the API shows it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """What to ask for by purpose; `model` is what it would be run on now, None where nothing can.

    Without `stems` it makes all that the model has.
    """

    name: str
    purpose: str
    description: str
    stems: tuple[str, ...]
    available: bool
    model: str | None

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Preset":
        """From an item of `GET /v1/presets`."""
        return cls(
            name=document["name"],
            purpose=document["purpose"],
            description=document["description"],
            stems=tuple(document["stems"]),
            available=document["available"],
            model=document["model"],
        )
