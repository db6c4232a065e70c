"""Plays drum parts with Hydrogen's kits: recorded strokes and an XML file that names them."""

import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import soundfile
import soxr

from synthesis import Note, rhythm
from synthesis.signal import SAMPLE_RATE_HZ, Signal, add_at
from training.errors import MissingProgramError

# Those that have what a part needs; Black Pearl's strokes are also a sound font.
KITS = (
    "Audiophob", "BJA_Pacific", "ColomboAcousticDrumkit", "ElectricEmpireKit", "ForzeeStereo",
    "HardElectro1", "Millo-Drums_v.1", "Millo_MultiLayered2", "Millo_MultiLayered3", "VariBreaks",
    "rumpf_kit_z01_h2",
)  # fmt: skip
_FOLDER = Path("/usr/share/hydrogen/data/drumkits")
_PACKAGE = "hydrogen-drumkits"
# The first that an instrument's name shows says what it is; "" is of no use.
_ROLES = {
    role: re.compile(pattern, re.IGNORECASE)
    for role, pattern in {
        "kick": r"kick|bass ?drum",
        "": r"pedal|\bpd$|roll|choke|swish|flink|redo|drum \d",
        "clap": r"clap",
        "stick": r"stick|rim",
        "snare": r"snare",
        "open hat": r"(hh|hat).*\bop|open.*(hh|hat)|ohh",
        "closed hat": r"hh|hat",
        "ride": r"ride",
        "crash": r"crash|cymbal|china",
        "cowbell": r"cowbell",
        "tom": r"tom|conga",
    }.items()
}
# What plays a key of the General MIDI map, the nearest that the kit has.
_PLAYED_BY: Mapping[int, Sequence[str]] = {
    rhythm.KICK: ("kick",),
    rhythm.SNARE: ("snare",),
    rhythm.CLAP: ("clap", "snare"),
    rhythm.SIDE_STICK: ("stick", "snare"),
    rhythm.CLOSED_HAT: ("closed hat",),
    rhythm.OPEN_HAT: ("open hat", "closed hat"),
    rhythm.RIDE: ("ride", "crash", "open hat", "closed hat"),
    rhythm.CRASH: ("crash", "ride", "open hat", "closed hat"),
    rhythm.TAMBOURINE: ("closed hat",),
    rhythm.COWBELL: ("cowbell", "stick", "snare"),
    **dict.fromkeys(rhythm.TOMS, ("tom", "snare")),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layer:
    """One recorded stroke and up to which velocity (0 to 1) it is struck."""

    file: Path
    upto: float


def play(notes: Sequence[Note], kit: str, *, samples: int) -> Signal:
    """The part as float32 (2, samples) at 44.1 kHz. Raises MissingProgramError.

    Of several instruments that could play a key, the part itself decides on one.
    """
    drums = _drums(kit)
    chance = np.random.default_rng(zlib.crc32(repr((kit, notes)).encode()))
    chosen: dict[int, Sequence[_Layer]] = {}
    track = np.zeros((2, samples), dtype=np.float32)
    for note in notes:
        if note.pitch not in chosen:
            role = next(role for role in _PLAYED_BY[note.pitch] if role in drums)
            chosen[note.pitch] = drums[role][int(chance.integers(len(drums[role])))]
        layers = chosen[note.pitch]
        struck = next((layer for layer in layers if note.velocity <= layer.upto), layers[-1])
        # Recorded layers are as loud as they were struck; lone ones are not.
        loudness = note.velocity if len(layers) > 1 else note.velocity**1.5
        add_at(track, _sound(struck.file) * np.float32(loudness), start_s=note.start_s)
    return track


@cache
def _drums(kit: str) -> Mapping[str, Sequence[Sequence[_Layer]]]:
    """Instruments by role, each as its layers from soft to loud."""
    folder = _FOLDER / kit
    try:
        document = ET.parse(folder / "drumkit.xml")  # noqa: S314 - of a Debian package
    except FileNotFoundError as error:
        raise MissingProgramError(f"{folder} is missing: apt-get install {_PACKAGE}") from error
    drums: dict[str, list[Sequence[_Layer]]] = {}
    for instrument in document.iterfind(".//{*}instrument"):
        name = instrument.findtext("{*}name") or ""
        role = next((role for role, named in _ROLES.items() if named.search(name)), "")
        layers = _layers(instrument, folder)
        if role and layers:
            drums.setdefault(role, []).append(layers)
    return drums


def _layers(instrument: ET.Element, folder: Path) -> Sequence[_Layer]:
    listed = list(instrument.iterfind(".//{*}layer")) or [instrument]
    layers = [
        _Layer(file=folder / filename, upto=float(layer.findtext("{*}max") or 1.0))
        for layer in listed
        # Kits name strokes that their package leaves out.
        if (filename := layer.findtext("{*}filename")) and (folder / filename).exists()
    ]
    return sorted(layers, key=lambda layer: layer.upto)


@cache
def _sound(file: Path) -> Signal:
    """One stroke as float32 (2, n), at most four seconds of it."""
    samples, rate_hz = soundfile.read(file, frames=4 * 192_000, dtype="float32", always_2d=True)
    resampled = soxr.resample(samples[: 4 * rate_hz], rate_hz, SAMPLE_RATE_HZ)
    return np.repeat(resampled.T, 2, axis=0)[:2] if samples.shape[1] == 1 else resampled.T[:2]
