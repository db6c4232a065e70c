"""Broken and odd structure: cuts, lies, absurd fields, endless nesting."""

import struct
from collections.abc import Callable

import numpy as np

from tests.hostile import boxes, riff
from tests.hostile.good import KINDS, good, tones

Files = dict[str, Callable[[], bytes]]

# After so many bytes, and after this part of the whole.
CUTS = (8, 40, 200)
MOST = 0.6
MANY = 20_000
DEEP = 3_000
NAN, INFINITE = float("nan"), float("inf")

# 80-bit floats of AIFF: 44,100, 1, infinity, not a number, 4 million.
AIFF_RATES = {
    "1": b"\x3f\xff\x80" + bytes(7),
    "infinite": b"\x7f\xff\x80" + bytes(7),
    "nan": b"\x7f\xff\xc0" + bytes(7),
    "4000000": b"\x40\x14\xf4\x24" + bytes(6),
    "zero": bytes(10),
}


def cuts() -> Files:
    """Every container cut off inside its header, behind it, and in the middle of the sound."""
    files: Files = {}
    for kind in (*KINDS, "ogg"):
        for cut in CUTS:
            files[f"cut-{cut}.{kind}"] = lambda kind=kind, cut=cut: good(kind)[:cut]
        files[f"cut-most.{kind}"] = lambda kind=kind: good(kind)[: int(MOST * len(good(kind)))]
    return files


def lies() -> Files:
    """Sizes and durations that are not so."""
    second = riff.silence()
    return {
        "lie-endless-data.wav": lambda: riff.riff(
            riff.fmt(), riff.chunk(b"data", second, claimed=(1 << 32) - 1), claimed=(1 << 32) - 1
        ),
        "lie-3-GB-of-data.wav": lambda: riff.riff(
            riff.fmt(), riff.chunk(b"data", second, claimed=3 << 30)
        ),
        "lie-no-size.wav": lambda: riff.riff(
            riff.fmt(), riff.chunk(b"data", second, claimed=0), claimed=0
        ),
        "lie-byte-rate-1.wav": lambda: riff.wav(byte_rate=1),
        "lie-byte-rate-0.wav": lambda: riff.wav(byte_rate=0),
        "lie-block-1.wav": lambda: riff.wav(block=1),
        "lie-rf64.wav": lambda: riff.riff(
            riff.chunk(b"ds64", struct.pack("<QQQI", 1 << 62, 1 << 62, 1 << 60, 0)),
            riff.fmt(),
            riff.chunk(b"data", second, claimed=(1 << 32) - 1),
            claimed=(1 << 32) - 1,
            name=b"RF64",
        ),
        "lie-20-hours.flac": lambda: flac_total(20 * 3600 * 48_000),
        "lie-one-sample.flac": lambda: flac_total(1),
        "lie-unknown-length.flac": lambda: flac_total(0),
        "lie-years.mov": lambda: boxes.movie(samples_each=boxes.RATE_HZ, duration=(1 << 32) - 1),
        "lie-no-length.mov": lambda: boxes.movie(samples_each=boxes.RATE_HZ, duration=0),
        "lie-billion-samples.mov": lambda: boxes.movie(sample_count=(1 << 30) - 1),
        "lie-billion-packets.mov": lambda: boxes.movie(codec=b".mp3", sample_count=(1 << 30) - 1),
        "lie-huge-samples.mov": lambda: boxes.movie(codec=b".mp3", sample_bytes=(1 << 31) - 1),
        "lie-description.mov": lambda: boxes.huge_description(b"glbl"),
        "lie-alac-description.mov": lambda: boxes.huge_description(b"alac"),
        "lie-far-granule.ogg": far_granule,
        "lie-frames.mp3": xing_frames,
    }


def flac_total(samples: int) -> bytes:
    """STREAMINFO that claims so many samples, over one second of sound."""
    data = bytearray(good("flac"))
    (field,) = struct.unpack(">Q", data[18:26])
    data[18:26] = struct.pack(">Q", (field & ~((1 << 36) - 1)) | samples)
    return bytes(data)


def far_granule() -> bytes:
    """The last page claims to end in the year 3000; its checksum is wrong then."""
    data = bytearray(good("ogg"))
    last = data.rindex(b"OggS")
    data[last + 6 : last + 14] = struct.pack("<q", 1 << 50)
    return bytes(data)


def xing_frames() -> bytes:
    """A Xing header of four thousand million frames."""
    data = bytearray(good("mp3"))
    at = max(data.find(b"Xing"), data.find(b"Info"))
    data[at + 8 : at + 12] = b"\xff\xff\xff\xff"
    return bytes(data)


def absurd_fields() -> Files:
    """Rates, channels and widths that no music has."""
    files: Files = {}
    for rate_hz in (0, 1, 3_999, 384_001, 4_000_000, (1 << 32) - 1):
        files[f"rate-{rate_hz}.wav"] = lambda rate_hz=rate_hz: riff.wav(rate_hz=rate_hz)
    for channels in (0, 17, 255, 65_535):
        files[f"channels-{channels}.wav"] = lambda channels=channels: riff.wav(channels=channels)
    for bits in (0, 1, 7, 255):
        files[f"bits-{bits}.wav"] = lambda bits=bits: riff.wav(bits=bits)
    for name, rate in AIFF_RATES.items():
        files[f"rate-{name}.aiff"] = lambda rate=rate: riff.aiff(rate=rate)
    for name, rate_hz in {"1e308": 1e308, "nan": NAN, "infinite": INFINITE, "-1": -1.0}.items():
        files[f"rate-{name}.caf"] = lambda rate_hz=rate_hz: riff.caf(rate_hz=rate_hz)
    files["channels-5000.caf"] = lambda: riff.caf(rate_hz=44_100, channels=5_000)
    files["channels-64.mov"] = lambda: boxes.movie(channels=64, sample_bytes=128)
    files["rate-2.mov"] = lambda: boxes.movie(rate_hz=2)
    return files


def no_numbers() -> Files:
    """Floats that are infinite or no numbers, at once or late."""
    early = np.zeros((44_100, 2), np.float32)
    late = np.zeros((4 * 44_100, 2), np.float32)

    def spoilt(samples: np.ndarray, value: float, *, at: int) -> bytes:
        spoilt = samples.copy()
        spoilt[at, 1] = value
        return riff.float_wav(spoilt)

    big_endian = np.full(2_000, INFINITE, ">f4").tobytes()
    return {
        "nan.wav": lambda: spoilt(early, NAN, at=10_000),
        "infinite.wav": lambda: spoilt(early, INFINITE, at=10_000),
        "minus-infinite.wav": lambda: spoilt(early, -INFINITE, at=43_000),
        "late-nan.wav": lambda: spoilt(late, NAN, at=3 * 44_100),
        "late-infinite.wav": lambda: spoilt(late, INFINITE, at=4 * 44_100 - 1),
        "beyond-float32.wav": lambda: spoilt(early.astype(np.float64), 1e300, at=10_000),
        "infinite.caf": lambda: riff.caf(rate_hz=44_100, data=big_endian, float_samples=True),
        "loud-but-finite.wav": lambda: spoilt(early, 3.0e38, at=10_000),
    }


def odd_structure() -> Files:
    """Chunks and boxes of odd sizes, orders, numbers and depths."""
    second = riff.silence()
    data = riff.chunk(b"data", second)
    return {
        "many-chunks.wav": lambda: riff.riff(
            riff.fmt(), *[riff.chunk(b"junk", b"x") for _ in range(MANY)], data
        ),
        "odd-chunks-unpadded.wav": lambda: riff.riff(
            riff.fmt(), *[riff.chunk(b"junk", b"x", pad=False) for _ in range(3)], data
        ),
        "endless-list.wav": lambda: riff.riff(
            riff.fmt(), riff.chunk(b"LIST", b"INFO", claimed=(1 << 32) - 2), data
        ),
        "riff-in-riff.wav": lambda: riff.riff(riff.chunk(b"RIFF", riff.wav())),
        "two-formats.wav": lambda: riff.riff(riff.fmt(), riff.fmt(channels=1), data),
        "format-behind-data.wav": lambda: riff.riff(data, riff.fmt()),
        "no-format.wav": lambda: riff.riff(data),
        "no-data.wav": lambda: riff.riff(riff.fmt()),
        "empty-data.wav": lambda: riff.wav(data=b""),
        "half-a-frame.wav": lambda: riff.wav(data=b"\1\2\3"),
        "deep-boxes.mp4": deep_boxes,
        "box-of-size-1.mp4": lambda: boxes.file_type() + boxes.box(b"moov", claimed=1),
        "box-of-size-7.mp4": lambda: boxes.file_type() + boxes.box(b"moov", claimed=7) + bytes(64),
        "no-movie.mp4": lambda: boxes.file_type() + boxes.box(b"mdat", bytes(4_096)),
        "deep-elements.mka": lambda: good("mka")[:48] + b"\x18\x53\x80\x67\xff" * DEEP,
        "id3-of-256-MB.mp3": lambda: b"ID3\4\0\0\x7f\x7f\x7f\x7f" + bytes(10_000),
        "id3-of-3-MB.mp3": lambda: b"ID3\4\0\0\1\x40\0\0" + bytes(3 << 20) + good("mp3"),
        "id3-alone.mp3": lambda: b"ID3\4\0\0\0\0\x02\0" + bytes(256),
        "two-hundred-id3.mp3": lambda: b"ID3\4\0\0\0\0\0\x10" * 200 + bytes(16),
        "header-alone.flac": lambda: good("flac")[: good("flac").index(b"\xff\xf8", 42)],
        "header-alone.ogg": lambda: good("ogg")[: good("ogg").index(b"OggS", 4_000 // 2)],
        "header-alone.mka": lambda: good("mka")[: good("mka").index(b"\x1f\x43\xb6\x75")],
    }


def deep_boxes() -> bytes:
    """Boxes in boxes."""
    nested = b""
    for _ in range(DEEP):
        nested = boxes.box(b"moov", nested)
    return boxes.file_type() + nested


def midway_changes() -> Files:
    """Streams that become another stream."""
    return {
        "rate-changes.mp3": lambda: good("mp3") + good("mp3", rate_hz=32_000),
        "channels-change.mp3": lambda: good("mp3") + good("mp3", channels=1),
        "rate-changes.aac": lambda: good("aac") + good("aac", rate_hz=22_050),
        "channels-change.aac": lambda: good("aac") + good("aac", channels=1),
        "channels-change.flac": lambda: good("flac") + good("flac", channels=1),
        "rate-changes.ogg": lambda: good("ogg") + good("ogg", rate_hz=22_050),
        "channels-change.ogg": lambda: good("ogg") + good("ogg", channels=1),
        "two-songs.wav": lambda: good("wav") + good("wav", rate_hz=8_000),
        "wav-then-mp3.wav": lambda: riff.wav(data=tones(1.0).tobytes()) + good("mp3"),
    }
