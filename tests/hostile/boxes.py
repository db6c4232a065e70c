"""QuickTime and MP4 put together box by box, so that tables can lie and point anywhere."""

import struct

RATE_HZ = 44_100
FRAMES = 1_024
FRAME_BYTES = 4


def box(name: bytes, *parts: bytes, claimed: int | None = None) -> bytes:
    """A box; `claimed` is the size it pretends to have."""
    body = b"".join(parts)
    return struct.pack(">I", len(body) + 8 if claimed is None else claimed) + name + body


def full(name: bytes, *parts: bytes) -> bytes:
    """A box with version and flags of zero."""
    return box(name, bytes(4), *parts)


def file_type() -> bytes:
    """The first box."""
    return box(b"ftyp", b"qt  ", struct.pack(">I", 0x200), b"qt  ")


def movie(
    *,
    codec: bytes = b"sowt",
    channels: int = 2,
    rate_hz: int = RATE_HZ,
    chunks: int = 1,
    samples_each: int = FRAMES,
    sample_bytes: int = FRAME_BYTES,
    sample_count: int | None = None,
    reference: bytes | None = None,
    duration: int | None = None,
    claimed_chunks: int | None = None,
) -> bytes:
    """A movie of one sound track; each of its `chunks` is the same second of data."""
    count = chunks * samples_each if sample_count is None else sample_count
    length = count if duration is None else duration
    entry = struct.pack(">6xH8xHHHHI", 1, channels, 16, 0, 0, (rate_hz % 65536) << 16)
    description = full(b"stsd", struct.pack(">I", 1), box(codec, entry))
    times = full(b"stts", struct.pack(">III", 1, count, 1))
    grouping = full(b"stsc", struct.pack(">IIII", 1, 1, samples_each, 1))
    sizes = full(b"stsz", struct.pack(">II", sample_bytes, count))
    data = bytes(samples_each * FRAME_BYTES)
    offset = len(file_type()) + 8
    offsets = full(
        b"stco", struct.pack(">I", claimed_chunks or chunks), struct.pack(">I", offset) * chunks
    )
    table = box(b"stbl", description, times, grouping, sizes, offsets)
    where = reference or struct.pack(">I4sI", 12, b"url ", 1)
    information = box(b"dinf", full(b"dref", struct.pack(">I", 1), where))
    media = box(
        b"mdia",
        full(b"mdhd", struct.pack(">IIIII", 0, 0, rate_hz, length % (1 << 32), 0)),
        full(b"hdlr", struct.pack(">4s4s12xB", b"mhlr", b"soun", 0)),
        box(b"minf", full(b"smhd", bytes(4)), information, table),
    )
    matrix = struct.pack(">9I", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    header = full(
        b"mvhd",
        struct.pack(">IIII", 0, 0, rate_hz, length % (1 << 32)),
        bytes(16),
        matrix,
        bytes(28),
    )
    track_header = full(
        b"tkhd", struct.pack(">IIIII", 0, 0, 1, 0, length % (1 << 32)), bytes(16), matrix, bytes(8)
    )
    return (
        file_type() + box(b"mdat", data) + box(b"moov", header, box(b"trak", track_header, media))
    )


def elsewhere(address: bytes) -> bytes:
    """A data reference to another file or address."""
    return full(b"url ", address + b"\0")


def huge_description(name: bytes, *, size: int = 0x3FFF0000) -> bytes:
    """A sound description with a box that claims a gigabyte, as do all the boxes around it."""
    entry = struct.pack(">6xH8xHHHHI", 1, 2, 16, 0, 0, RATE_HZ << 16)
    entry += box(name, bytes(64), claimed=size)
    nested = full(b"stsd", struct.pack(">I", 1), box(b"mp4a", entry, claimed=0x7FFFE000))
    nested = nested.replace(nested[:4], struct.pack(">I", 0x7FFFE800), 1)
    header = full(b"mdhd", struct.pack(">IIIII", 0, 0, RATE_HZ, RATE_HZ, 0))
    handler = full(b"hdlr", struct.pack(">4s4s12xB", b"mhlr", b"soun", 0))
    for parent, before in ((b"stbl", b""), (b"minf", b""), (b"mdia", header + handler)):
        nested = box(parent, before, nested, claimed=0x7FFFF000)
    return file_type() + box(b"moov", box(b"trak", nested, claimed=0x7FFFF000), claimed=0x7FFFF000)
