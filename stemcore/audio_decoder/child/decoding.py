"""What is done with one source: a look into its beginning, or all of it into a pipe."""

import array
import io
import math
import os
from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any

import av
import av.error
from frames import Frames, refuse_beyond
from refusal import Refusal
from source import audio_stream, claimed_duration_s, demuxed_duration_s, open_source

PIPE_BUFFER_BYTES = 1 << 18

Packet = dict[str, Any]
Tell = Callable[[Packet], None]


class Pipe(io.RawIOBase):
    """The writing end of a pipe; os.fdopen would ask what it is, which is not allowed here."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return os.write(self._descriptor, data)


class Work:
    """One source under the limits of one request."""

    def __init__(self, descriptor: int, *, limits: Mapping[str, Any], tell: Tell) -> None:
        self._limits = limits
        self._container = open_source(descriptor)
        self._stream = audio_stream(self._container)
        self._claimed_s = claimed_duration_s(self._container, self._stream)
        context = self._stream.codec_context
        if context.sample_rate:
            refuse_beyond(limits, rate_hz=context.sample_rate, channels=context.channels)
        self._frames = Frames(self._container, self._stream, limits=limits)
        frames = iter(self._frames)
        first = next(frames, None)
        if first is None:
            self._frames.refuse_if_ruined(claimed_s=self._claimed_s)
            raise Refusal("no_samples", "The file holds no samples.")
        self._rate_hz, self._channels = first.sample_rate, first.layout.nb_channels
        self._rest = chain([first], frames)
        tell(self._described(first))

    def _described(self, first: Any) -> Packet:
        """As decoded: headers and codec may disagree."""
        layout = first.layout
        named = layout.name != f"{layout.nb_channels} channels"
        return {
            "event": "opened",
            "container": self._container.format.name.split(",")[0],
            "codec": self._stream.codec_context.codec.canonical_name,
            "sample_rate_hz": self._rate_hz,
            "channels": self._channels,
            "channel_names": [channel.name for channel in layout.channels] if named else [],
        }

    def probe(self) -> Packet:
        """Prove that the first second decodes to numbers; the duration is what headers claim."""
        samples = 0
        for frame in self._rest:
            _refuse_what_is_no_number(self._bytes_of(frame))
            samples += frame.samples
            if samples >= self._rate_hz:
                break
        self._frames.refuse_if_ruined(claimed_s=self._claimed_s)
        return {
            "event": "finished",
            "duration_s": max(self._provisional_duration_s(samples), 0.0),
            "damaged_packets": self._frames.damaged_packets,
        }

    def _provisional_duration_s(self, samples: int) -> float:
        """The claim, unless there is none or it is beyond the limit: then packets are counted."""
        if self._claimed_s is not None and self._claimed_s <= self._limits["max_duration_s"]:
            return self._claimed_s
        demuxed_s = demuxed_duration_s(
            self._container, self._stream, enough_s=self._limits["max_duration_s"]
        )
        return max(demuxed_s, samples / self._rate_hz)

    def decode(self, pcm: int) -> Packet:
        """Write every sample to the pipe, counting, and stop at the limit."""
        max_samples = min(
            int(self._limits["max_duration_s"] * self._rate_hz),
            self._limits["max_samples"] // self._channels,
        )
        samples = 0
        with io.BufferedWriter(Pipe(pcm), PIPE_BUFFER_BYTES) as pipe:
            for frame in self._rest:
                samples += frame.samples
                if samples > max_samples:
                    raise Refusal(
                        "audio_too_long",
                        "The audio is longer than allowed.",
                        max_duration_s=self._limits["max_duration_s"],
                    )
                pipe.write(self._bytes_of(frame))
        os.close(pcm)
        self._frames.refuse_if_ruined(claimed_s=self._claimed_s)
        return {
            "event": "finished",
            "duration_s": samples / self._rate_hz,
            "damaged_packets": self._frames.damaged_packets,
        }

    def _bytes_of(self, frame: Any) -> memoryview:
        """The plane may be padded at its end."""
        return memoryview(frame.planes[0])[: frame.samples * 4 * self._channels]


def _refuse_what_is_no_number(data: memoryview) -> None:
    # A sum of finite float32 cannot leave float64; NaN and infinity stay in it.
    if not math.isfinite(sum(array.array("f", data.tobytes()))):
        raise Refusal(
            "invalid_samples", "The audio holds samples that are infinite or not numbers."
        )


def answer_to(request: Mapping[str, Any], descriptors: list[int], *, tell: Tell) -> Packet:
    """Do the work; the last packet to send."""
    try:
        work = Work(descriptors[0], limits=request["limits"], tell=tell)
        return work.probe() if request["mode"] == "probe" else work.decode(descriptors[1])
    except Refusal as refusal:
        return refusal.packet
    except MemoryError:
        return Refusal("audio_too_complex", "Decoding takes more memory than allowed.").packet
    except av.error.FFmpegError as error:
        return Refusal("unreadable_audio", f"The audio is unreadable: {error.strerror}.").packet
