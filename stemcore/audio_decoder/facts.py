"""What a source is, and how much of it we are willing to unfold."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeLimits:
    """Bounds on one source: sizes before and after decoding, and what its process may use.

    `max_samples` counts all channels: the default is a little more than three hours of stereo at
    192 kHz.
    """

    max_bytes: int = 1 << 30
    max_duration_s: float = 3 * 3600.0
    max_samples: int = 1 << 32
    min_sample_rate_hz: int = 4_000
    max_sample_rate_hz: int = 384_000
    max_channels: int = 16
    probe_timeout_s: float = 4.0
    decode_timeout_s: float = 1800.0
    address_space_bytes: int = 512 << 20

    def __post_init__(self) -> None:
        if min(getattr(self, name) for name in self.__slots__) <= 0:
            raise ValueError(f"limits must be positive: {self}")

    def max_frames(self, sample_rate_hz: int, *, channels: int) -> int:
        """What may come of one source."""
        return min(int(self.max_duration_s * sample_rate_hz), self.max_samples // channels)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFacts:
    """A source as its process saw it.

    `duration_s` is provisional (the header's claim) after a probe and exact after decoding;
    `channel_names` are FFmpeg's (FL, FR, FC, LFE, ...) and empty when the file names none.
    """

    duration_s: float
    sample_rate_hz: int
    channels: int
    codec: str
    container: str
    channel_names: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The form kept in the job row and shown to clients."""
        return {
            "duration_s": round(self.duration_s, 6),
            "sample_rate_hz": self.sample_rate_hz,
            "channels": self.channels,
            "codec": self.codec,
            "container": self.container,
        }
