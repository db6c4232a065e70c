"""One tiny source through the whole path, so that nothing is left to load once doors are shut."""

import os
import struct

from decoding import answer_to

RATE_HZ = 8_000
FRAMES = 64
_LIMITS = {
    "max_duration_s": 1.0,
    "max_samples": 1 << 20,
    "min_sample_rate_hz": 1,
    "max_sample_rate_hz": RATE_HZ,
    "max_channels": 1,
}


def rehearse() -> None:
    """Probe a short silence; raises RuntimeError when even that fails."""
    source = os.memfd_create("rehearsal")
    os.write(source, wav())
    os.lseek(source, 0, os.SEEK_SET)
    answer = answer_to({"mode": "probe", "limits": _LIMITS}, [source], tell=lambda _: None)
    os.close(source)
    if answer["event"] != "finished":
        raise RuntimeError(answer["message"])


def wav() -> bytes:
    """A mono WAV of 16-bit silence."""
    pcm = bytes(2 * FRAMES)
    form = struct.pack("<IHHIIHH", 16, 1, 1, RATE_HZ, 2 * RATE_HZ, 2, 16)
    chunks = b"WAVEfmt " + form + b"data" + struct.pack("<I", len(pcm)) + pcm
    return b"RIFF" + struct.pack("<I", len(chunks)) + chunks
