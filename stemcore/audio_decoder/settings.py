"""How decoder processes are kept."""

from pydantic import Field

from stemcore.audio_decoder.protections import Protection
from stemcore.settings import SettingsSection


class SandboxSettings(SettingsSection):
    """A few processes wait for a source each; none may be weaker than required."""

    warm: int = Field(default=2, ge=0, le=64)
    require: frozenset[Protection] = frozenset(Protection)
    start_timeout_s: float = Field(default=30.0, gt=0)
