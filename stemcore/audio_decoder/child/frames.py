"""Decoded frames as packed float32, of one rate and one layout, counted as they come."""

from collections.abc import Iterator, Mapping
from typing import Any

import av
import av.error
from refusal import Refusal

_DAMAGE = (
    av.error.InvalidDataError,
    av.error.PatchWelcomeError,
    av.error.UndefinedError,
    av.error.ExternalError,
)


class Frames:
    """The frames of a stream; damaged packets are counted and left out."""

    def __init__(self, container: Any, stream: Any, *, limits: Mapping[str, Any]) -> None:
        self._container = container
        self._stream = stream
        self._limits = limits
        self._resampler = av.AudioResampler(format="flt")
        self._shape: tuple[int, str] | None = None
        self.samples = 0
        self.good_packets = 0
        self.damaged_packets = 0

    def __iter__(self) -> Iterator[Any]:
        for packet in self._packets():
            for frame in self._decoded(packet):
                self._check(frame)
                self.samples += frame.samples
                yield from self._resampler.resample(frame)
        if self.samples:
            yield from self._resampler.resample(None)

    def _packets(self) -> Iterator[Any]:
        try:
            yield from self._container.demux(self._stream)
        except av.error.PatchWelcomeError as error:
            # So FFmpeg answers a chained Ogg whose next song has another rate or layout.
            raise _changes() from error
        except _DAMAGE:
            # What is left of the file cannot be taken apart.
            self.damaged_packets += 1

    def _decoded(self, packet: Any) -> list[Any]:
        try:
            frames = packet.decode()
        except _DAMAGE:
            self.damaged_packets += 1
            return []
        self.good_packets += bool(frames)
        return frames

    def _check(self, frame: Any) -> None:
        shape = frame.sample_rate, frame.layout.name
        if self._shape is None:
            refuse_beyond(
                self._limits, rate_hz=frame.sample_rate, channels=frame.layout.nb_channels
            )
            self._shape = shape
        elif shape != self._shape:
            raise _changes()

    def refuse_if_ruined(self, *, claimed_s: float | None) -> None:
        """A source is ruined when more of it is damaged than not, or nothing of it is there."""
        if self.damaged_packets > self.good_packets:
            raise Refusal(
                "unreadable_audio", "The audio is damaged.", damaged_packets=self.damaged_packets
            )
        if self.samples:
            return
        if claimed_s:
            raise Refusal("audio_truncated", "The file ends before its audio begins.")
        raise Refusal("no_samples", "The file holds no samples.")


def _changes() -> Refusal:
    return Refusal("format_changes_midway", "The audio changes its format midway.")


def refuse_beyond(limits: Mapping[str, Any], *, rate_hz: int, channels: int) -> None:
    """Refuse rates and numbers of channels that no music has."""
    if not limits["min_sample_rate_hz"] <= rate_hz <= limits["max_sample_rate_hz"]:
        raise Refusal(
            "sample_rate_not_supported",
            "The sample rate is not one that we take.",
            sample_rate_hz=rate_hz,
            min_sample_rate_hz=limits["min_sample_rate_hz"],
            max_sample_rate_hz=limits["max_sample_rate_hz"],
        )
    if channels > limits["max_channels"]:
        raise Refusal(
            "too_many_channels",
            "The audio has more channels than we take.",
            channels=channels,
            max_channels=limits["max_channels"],
        )
