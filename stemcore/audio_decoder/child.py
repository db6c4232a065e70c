"""The process that parses what strangers sent. Run as a script; imports nothing of ours.

Its standard input is a SOCK_SEQPACKET socket. The parent sends one JSON request with two file
descriptors: the source, opened read-only, and a pipe for PCM. The child answers with JSON packets,
`opened` and then `finished`, or `failed`. PCM is interleaved float32 at the source's rate.
"""

import json
import os
import resource
import socket
import sys
from collections.abc import Iterator
from typing import Any

import av
import av.error
import av.logging

FORMATS = "wav,mp3,flac,ogg,mov,matroska,webm,aiff,aac,caf,w64"
PACKET_BYTES = 65536
OPEN_FILES = 16
PIPE_BUFFER_BYTES = 1 << 18


class Refusal(Exception):
    """The source cannot be used: a stable code, a sentence, facts."""

    def __init__(self, code: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.packet: dict[str, Any] = {
            "event": "failed",
            "code": code,
            "message": message,
            "details": details,
        }


class NamelessFile:
    """A seekable file that tells FFmpeg no name: an extension must not choose the format."""

    def __init__(self, descriptor: int) -> None:
        self._file = os.fdopen(descriptor, "rb", buffering=0)

    def read(self, size: int) -> bytes:
        return self._file.read(size) or b""

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(max(0, offset) if whence == 0 else offset, whence)

    def tell(self) -> int:
        return self._file.tell()


def confine(limits: dict[str, Any]) -> None:
    """Give up what decoding does not need. Namespaces and seccomp belong here too."""
    cpu_s = int(limits["cpu_s"]) + 1
    for kind, value in (
        (resource.RLIMIT_AS, int(limits["address_space_bytes"])),
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (value, value))


def open_source(descriptor: int) -> Any:
    """The container, found by content among the allowed formats; no other file can be opened."""
    options = {"format_whitelist": FORMATS, "protocol_whitelist": "none"}
    try:
        return av.open(
            NamelessFile(descriptor), mode="r", options=options, metadata_errors="ignore"
        )
    except av.error.ArgumentError as error:
        raise Refusal("unsupported_format", "This kind of file is not supported.") from error
    except (av.error.FFmpegError, OSError) as error:
        raise Refusal("unreadable_audio", "The file holds no audio we can read.") from error


def audio_stream(container: Any) -> Any:
    """The first audio stream."""
    if not container.streams.audio:
        raise Refusal("no_audio_stream", "The file holds no audio stream.")
    stream = container.streams.audio[0]
    stream.codec_context.thread_count = 1
    return stream


def described(container: Any, stream: Any, limits: dict[str, Any]) -> dict[str, Any]:
    """The `opened` packet."""
    rate_hz, channels = stream.codec_context.sample_rate, stream.codec_context.channels
    if not rate_hz or not channels:
        raise Refusal("unreadable_audio", "The file holds no audio we can read.")
    if rate_hz > limits["max_sample_rate_hz"] or channels > limits["max_channels"]:
        raise Refusal(
            "unsupported_format",
            "The sample rate or the number of channels is beyond what we take.",
            sample_rate_hz=rate_hz,
            channels=channels,
        )
    layout = stream.codec_context.layout
    names = [channel.name for channel in layout.channels]
    return {
        "event": "opened",
        "container": container.format.name.split(",")[0],
        "codec": stream.codec_context.codec.canonical_name,
        "sample_rate_hz": rate_hz,
        "channels": channels,
        "channel_names": names if layout.name != f"{channels} channels" else [],
    }


class Frames:
    """Decoded frames as packed float32; damaged packets are counted and left out."""

    def __init__(self, container: Any, stream: Any) -> None:
        self._container = container
        self._stream = stream
        self._resampler = av.AudioResampler(format="flt")
        self.good_packets = 0
        self.damaged_packets = 0

    def __iter__(self) -> Iterator[Any]:
        try:
            for packet in self._container.demux(self._stream):
                yield from self._decoded(packet)
            yield from self._resampler.resample(None)
        except ValueError as error:
            raise Refusal("unreadable_audio", "The audio changes its format midway.") from error

    def _decoded(self, packet: Any) -> Iterator[Any]:
        try:
            frames = packet.decode()
        except (av.error.InvalidDataError, av.error.PatchWelcomeError, av.error.UndefinedError):
            self.damaged_packets += 1
            return
        self.good_packets += bool(frames)
        for frame in frames:
            yield from self._resampler.resample(frame)

    def refuse_if_ruined(self, samples: int) -> None:
        """A source is ruined when more of it is damaged than not."""
        if samples == 0 and not self.damaged_packets:
            raise Refusal("no_samples", "The file holds no samples.")
        if self.damaged_packets > self.good_packets:
            raise Refusal(
                "unreadable_audio", "The audio is damaged.", damaged_packets=self.damaged_packets
            )


def probe(container: Any, stream: Any, opened: dict[str, Any]) -> dict[str, Any]:
    """Prove that the beginning decodes; the duration is what the headers claim."""
    duration_s = header_duration_s(container, stream)
    frames, samples = Frames(container, stream), 0
    for frame in frames:
        samples += frame.samples
        if samples >= opened["sample_rate_hz"]:
            break
    frames.refuse_if_ruined(samples)
    if duration_s is None:
        duration_s = last_timestamp_s(container, stream)
    return {"event": "finished", "duration_s": max(duration_s, 0.0), "damaged_packets": 0}


def header_duration_s(container: Any, stream: Any) -> float | None:
    """What the stream or the container claims."""
    if stream.duration:
        return float(stream.duration * stream.time_base)
    if container.duration:
        return container.duration / av.time_base
    return None


def last_timestamp_s(container: Any, stream: Any) -> float:
    """The end of the last packet, where no header tells a duration."""
    end_s = 0.0
    for packet in container.demux(stream):
        if packet.pts is not None:
            end_s = float((packet.pts + (packet.duration or 0)) * stream.time_base)
    return end_s


def decode(
    container: Any, stream: Any, opened: dict[str, Any], *, pcm: int, limits: dict[str, Any]
) -> dict[str, Any]:
    """Write every sample to the pipe, counting, and stop at the limit."""
    max_samples = int(limits["max_duration_s"] * opened["sample_rate_hz"])
    frame_bytes = 4 * opened["channels"]
    frames, samples = Frames(container, stream), 0
    with os.fdopen(pcm, "wb", buffering=PIPE_BUFFER_BYTES) as pipe:
        for frame in frames:
            samples += frame.samples
            if samples > max_samples:
                raise Refusal(
                    "audio_too_long",
                    "The audio is longer than allowed.",
                    max_duration_s=limits["max_duration_s"],
                )
            # The plane may be padded at its end.
            pipe.write(memoryview(frame.planes[0])[: frame.samples * frame_bytes])
    frames.refuse_if_ruined(samples)
    return {
        "event": "finished",
        "duration_s": samples / opened["sample_rate_hz"],
        "damaged_packets": frames.damaged_packets,
    }


def answer_to(request: dict[str, Any], descriptors: list[int], control: socket.socket) -> Any:
    """Do the work; the last packet to send."""
    limits = request["limits"]
    confine(limits)
    container = open_source(descriptors[0])
    stream = audio_stream(container)
    opened = described(container, stream, limits)
    control.send(json.dumps(opened).encode())
    if request["mode"] == "probe":
        return probe(container, stream, opened)
    return decode(container, stream, opened, pcm=descriptors[1], limits=limits)


def serve(control: socket.socket) -> None:
    """Answer one request."""
    packet, descriptors, _, _ = socket.recv_fds(control, PACKET_BYTES, 2)
    if not packet:
        return
    try:
        answer = answer_to(json.loads(packet), descriptors, control)
    except Refusal as refusal:
        answer = refusal.packet
    except av.error.FFmpegError as error:
        answer = Refusal("unreadable_audio", f"The audio is unreadable: {error.strerror}.").packet
    except MemoryError:
        answer = Refusal("unreadable_audio", "The file takes too much memory to decode.").packet
    except BrokenPipeError:
        return
    control.send(json.dumps(answer).encode())


if __name__ == "__main__":
    av.logging.set_level(None)
    with socket.socket(fileno=os.dup(sys.stdin.fileno())) as parent:
        serve(parent)
    # No interpreter shutdown: everything of value has been sent.
    os._exit(0)
