"""Presets: what people want a song taken apart for, as data, and which model serves that best."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from stemcore.catalogue.port import ServedModel
from stemcore.errors import ErrorCode, InvalidInput
from stemcore.model_card import ModelCard
from stemcore.stem_choice import complements_of

# The best first, by the SDR on MUSDB18-HQ that their authors publish; the rest comes after them.
_GENERATIONS = ("htdemucs", "hdemucs", "spleeter")
# Multiply-adds for a second of audio and a parameter, beside Demucs': docs/models.md has the sums.
_WORK_PER_PARAMETER = {"spleeter": 0.1}
REMAINDER = "other"


class Preference(StrEnum):
    """What makes one model better than another."""

    QUALITY = "quality"
    LEAST_WORK = "least_work"
    MOST_STEMS = "most_stems"


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A purpose: wanted stems (none: all of the model's), options of a submission, and what counts.

    Of models that make the stems the one that the first preference ranks highest is taken, the next
    one deciding between equals. Models that are only demonstrations come last, whatever counts.
    """

    name: str
    purpose: str
    description: str
    prefer: tuple[Preference, ...]
    stems: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])


FOUR_STEMS = ("drums", "bass", REMAINDER, "vocals")

PRESETS = (
    Preset(
        name="karaoke",
        purpose="Sing it yourself",
        description="The song without its vocals.",
        stems=("instrumental",),
        prefer=(Preference.QUALITY,),
    ),
    Preset(
        name="vocals",
        purpose="The voice alone",
        description="Vocals, for a remix, a transcription or a lesson.",
        stems=("vocals",),
        prefer=(Preference.QUALITY,),
    ),
    Preset(
        name="drums",
        purpose="The drums alone",
        description="Drums, for a loop or for learning a part.",
        stems=("drums",),
        prefer=(Preference.QUALITY,),
    ),
    Preset(
        name="practice",
        purpose="Play along",
        description="As many instruments as a model knows, which add up to the song, so that yours "
        "can be turned down.",
        options={"consistency": True},
        prefer=(Preference.MOST_STEMS, Preference.QUALITY),
    ),
    Preset(
        name="best",
        purpose="Quality before time",
        description="The four usual stems from the best model, each averaged over two shifted "
        "runs.",
        stems=FOUR_STEMS,
        options={"shifts": 2},
        prefer=(Preference.QUALITY,),
    ),
    Preset(
        name="fast",
        purpose="Time before quality",
        description="The four usual stems with the least work: a narrower overlap, the lightest "
        "model.",
        stems=FOUR_STEMS,
        options={"overlap": 0.1},
        prefer=(Preference.LEAST_WORK, Preference.QUALITY),
    ),
)


def find_preset(name: str) -> Preset:
    """Raises InvalidInput for a name that is none."""
    by_name = {preset.name: preset for preset in PRESETS}
    if name not in by_name:
        raise InvalidInput(
            ErrorCode.UNKNOWN_PRESET,
            f"There is no preset {name!r}.",
            details={"presets": list(by_name)},
        )
    return by_name[name]


def choose_for(
    preset: Preset, models: Iterable[ServedModel], *, stems: tuple[str, ...]
) -> ServedModel | None:
    """The best of the models that may be used and make the stems, one that is ready before others.

    None where there is none.
    """
    suited = [model for model in models if model.refusal is None and _makes(model.card, stems)]
    return min(suited, key=lambda model: _place(model, preset, stems), default=None)


def options_for(preset: Preset, card: ModelCard) -> Mapping[str, Any]:
    """Those of the preset's options that the model has.

    A fixed hop leaves no overlap to choose, and one stem alone has none to add up with.
    """
    has = {"overlap": card.hop is None, "consistency": len(card.stems) > 1}
    return {name: value for name, value in preset.options.items() if has.get(name, True)}


def _makes(card: ModelCard, stems: tuple[str, ...]) -> bool:
    return {*card.stem_names, *complements_of(card.stem_names)}.issuperset(stems)


def _place(model: ServedModel, preset: Preset, stems: tuple[str, ...]) -> tuple[Any, ...]:
    card = model.card
    return (
        not model.ready,
        card.demonstration,
        _takes_from_remainder(card, stems),
        *(_RANKS[preference](card, stems) for preference in preset.prefer),
        card.name,
    )


def _takes_from_remainder(card: ModelCard, stems: tuple[str, ...]) -> bool:
    """Whether the remainder would lack an instrument that nobody asked for."""
    return REMAINDER in stems and bool(set(card.stem_names) - set(stems))


def _quality(card: ModelCard, _stems: tuple[str, ...]) -> tuple[int, int]:
    known = _line(card) in _GENERATIONS
    generation = _GENERATIONS.index(_line(card)) if known else len(_GENERATIONS)
    return (generation, -card.parameters)


def _work(card: ModelCard, stems: tuple[str, ...]) -> float:
    """In multiply-adds of Demucs, roughly; of a bag only the parts that make the stems count."""
    complements = complements_of(card.stem_names)
    wanted = {complements.get(stem, stem) for stem in stems} or set(card.stem_names)
    needed = {source.model for source in card.stems if source.stem in wanted}
    share = len(needed) / len(card.parts) if card.parts and needed else 1.0
    return card.parameters * share * _WORK_PER_PARAMETER.get(_line(card), 1.0)


def _line(card: ModelCard) -> str:
    """The family without its variant: spleeter-16kHz is a spleeter."""
    return card.family.partition("-")[0]


def _fewness(card: ModelCard, _stems: tuple[str, ...]) -> int:
    return -len(card.stems)


_RANKS: Mapping[Preference, Callable[[ModelCard, tuple[str, ...]], Any]] = {
    Preference.QUALITY: _quality,
    Preference.LEAST_WORK: _work,
    Preference.MOST_STEMS: _fewness,
}
