"""Which instruments, drum kits and voices train the model, and which only judge it."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from training.drum_samples import KITS
from training.programs import FLUID

MANIFEST_FILE = Path(__file__).with_name("manifest.json")
HELD_OUT_SONGS = 50
# Fonts of one kit each, played by its own sampler.
HYDROGEN = "hydrogen/"
_SIDES = ("training", "held_out", "further")
_KINDS = ("kits", "basses", "melodic")
_SEED = 20_261_121

# Kits of one family share their samples, so a family is never split.
_KIT_FAMILIES = {
    "standard": (0, 1, 2, 3, 4, 5, 6, 7),
    "room": (8, 9, 10, 11, 12, 13, 14, 15),
    "power": (16, 17, 18, 19),
    "electronic": (24,),
    "tr-808": (25,),
    "jazz": (32, 33, 34, 35, 36),
    "brush": (40, 41, 42),
}
# Acoustic and electric, slapped, synthetic: one of each kind is held out.
_BASS_KINDS = ((32, 33, 34, 35), (36, 37), (38, 39))
# General MIDI families of melodic programs: (first program, programs that are no instrument of
# the "other" stem: timpani, orchestra hit, choirs and voices).
_MELODIC_FAMILIES = {
    "piano": (0, ()),
    "chromatic": (8, ()),
    "organ": (16, ()),
    "guitar": (24, ()),
    "strings": (40, (47,)),
    "ensemble": (48, (52, 53, 54, 55)),
    "brass": (56, ()),
    "reed": (64, ()),
    "pipe": (72, ()),
    "lead": (80, (85,)),
    "pad": (88, (91,)),
    "ethnic": (104, ()),
}
# General MIDI fonts whose samples FluidR3 does not share, and their drum kits; and kits alone.
_FURTHER_FONTS = {
    "TimGM6mb": (0, 8, 16, 24, 25, 32, 40),
    "sf_GMbank": (0, 8, 16, 24, 25, 32, 40),
    "OPL-3_FM_128M": (0,),
}
KIT_FONTS = ("Black_Pearl_4_LV2", "Red_Zeppelin_4_LV2")
# Names of espeak-ng's variant files: a name that it does not know silently means its default.
_LANGUAGES = (
    "en-us", "en-gb", "en-gb-scotland", "de", "fr-fr", "es", "it", "pt-br", "nl", "sv", "pl", "fi",
    "ro", "hu", "tr", "el",
)  # fmt: skip
_VARIANTS = (
    "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "f1", "f2", "f3", "f4", "f5", "Andrea", "Annie",
    "belinda", "linda", "steph", "Alicia", "anika", "shelby", "adam", "Alex", "Andy", "david", "ed",
    "Gene", "iven", "john", "Lee", "Marco", "max", "Michael", "Mike", "paul", "pedro", "quincy",
    "rob", "robert", "sandro", "travis", "victor", "norbert", "zac", "Hugo", "Jacky", "klatt2",
    "grandma",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """An espeak-ng voice: a language spoken by a variant."""

    language: str
    variant: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """A preset of a sound font, from zero; its number in General MIDI, of instruments or of kits.

    A font whose name begins with HYDROGEN is a kit of Hydrogen's.
    """

    font: str
    program: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Palette:
    """The sources of one side."""

    kits: tuple[Instrument, ...]
    basses: tuple[Instrument, ...]
    melodic: tuple[Instrument, ...]
    voices: tuple[Voice, ...]

    def __add__(self, other: "Palette") -> "Palette":
        return Palette(
            kits=self.kits + other.kits,
            basses=self.basses + other.basses,
            melodic=self.melodic + other.melodic,
            voices=self.voices + other.voices,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The palettes of the two sides, which share nothing, and the seeds of the held-out songs.

    `further` are training sources of other fonts, none of which a held-out song plays.
    """

    seed: int
    training: Palette
    held_out: Palette
    further: Palette
    held_out_song_seeds: tuple[int, ...]


def load(path: Path = MANIFEST_FILE) -> Manifest:
    """The committed manifest."""
    document = json.loads(path.read_text())
    return Manifest(
        seed=document["seed"],
        training=_palette(document["training"]),
        held_out=_palette(document["held_out"]),
        further=_palette(document["further"]),
        held_out_song_seeds=tuple(document["held_out_song_seeds"]),
    )


def save(manifest: Manifest, path: Path = MANIFEST_FILE) -> None:
    """Write the manifest as JSON."""
    document = {
        "seed": manifest.seed,
        **{side: _described(getattr(manifest, side)) for side in _SIDES},
        "held_out_song_seeds": manifest.held_out_song_seeds,
    }
    path.write_text(json.dumps(document, indent=1) + "\n")


def draw(seed: int = _SEED) -> Manifest:
    """Split every kind of source by chance: a quarter of each melodic family is held out."""
    rng = np.random.default_rng(seed)
    training: dict[str, list[Any]] = {"kits": [], "basses": [], "melodic": [], "voices": []}
    held_out: dict[str, list[Any]] = {"kits": [], "basses": [], "melodic": [], "voices": []}
    kept_families = set(rng.choice(sorted(_KIT_FAMILIES), size=2, replace=False).tolist())
    for family, kits in _KIT_FAMILIES.items():
        (held_out if family in kept_families else training)["kits"] += kits
    for basses in _BASS_KINDS:
        _divide(rng, basses, training["basses"], held_out["basses"], held=1)
    for first, excluded in _MELODIC_FAMILIES.values():
        programs = [program for program in range(first, first + 8) if program not in excluded]
        _divide(rng, programs, training["melodic"], held_out["melodic"], held=2)
    _divide_voices(rng, training["voices"], held_out["voices"])
    return Manifest(
        seed=seed,
        training=_of_fluid(training),
        held_out=_of_fluid(held_out),
        further=_further(),
        held_out_song_seeds=tuple(900_000 + index for index in range(HELD_OUT_SONGS)),
    )


def _divide(
    rng: np.random.Generator, sources: Any, training: list[Any], held_out: list[Any], *, held: int
) -> None:
    chosen = set(rng.choice(len(sources), size=held, replace=False).tolist())
    for index, source in enumerate(sources):
        (held_out if index in chosen else training).append(source)


def _divide_voices(rng: np.random.Generator, training: list[Voice], held_out: list[Voice]) -> None:
    """Both languages and variants are split, so that no voice shares either with the other side."""
    languages: tuple[list[str], list[str]] = ([], [])
    variants: tuple[list[str], list[str]] = ([], [])
    _divide(rng, _LANGUAGES, *languages, held=4)
    _divide(rng, _VARIANTS, *variants, held=12)
    for side, voices in enumerate((training, held_out)):
        for variant in variants[side]:
            spoken = rng.choice(languages[side], size=2, replace=False).tolist()
            voices += [Voice(language=language, variant=variant) for language in spoken]


def _further() -> Palette:
    """All instruments of the further fonts: no held-out song plays any of them."""
    melodic = [
        first + place
        for first, excluded in _MELODIC_FAMILIES.values()
        for place in range(8)
        if first + place not in excluded
    ]
    kits = [(font, kit) for font, kits in _FURTHER_FONTS.items() for kit in kits]
    kits += [(font, 0) for font in (*KIT_FONTS, *map(HYDROGEN.__add__, KITS))]
    return Palette(
        kits=tuple(Instrument(font=font, program=kit) for font, kit in kits),
        basses=_instruments(sum(_BASS_KINDS, ())),
        melodic=_instruments(melodic),
        voices=(),
    )


def _instruments(programs: Sequence[int]) -> tuple[Instrument, ...]:
    """The programs, of every further font that has all of them."""
    return tuple(
        Instrument(font=font, program=program) for font in _FURTHER_FONTS for program in programs
    )


def _of_fluid(sources: dict[str, list[Any]]) -> Palette:
    instruments = {
        kind: tuple(Instrument(font=FLUID, program=program) for program in sources[kind])
        for kind in _KINDS
    }
    return Palette(**instruments, voices=tuple(sources["voices"]))


def _described(palette: Palette) -> dict[str, Any]:
    instruments = {
        kind: [f"{source.font}:{source.program}" for source in getattr(palette, kind)]
        for kind in _KINDS
    }
    return {**instruments, "voices": [asdict(voice) for voice in palette.voices]}


def _palette(document: dict[str, Any]) -> Palette:
    instruments = {kind: tuple(map(_instrument, document[kind])) for kind in _KINDS}
    return Palette(**instruments, voices=tuple(Voice(**voice) for voice in document["voices"]))


def _instrument(described: str) -> Instrument:
    font, program = described.rsplit(":", 1)
    return Instrument(font=font, program=int(program))
