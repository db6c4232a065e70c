"""Which files a job makes: stems as the model has them, and complements, everything but one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from stemcore.errors import ErrorCode, InvalidInput
from stemcore.model_card import ModelCard
from stemcore.separation_request import ComplementMode, SeparationRequest

VOCALS = "vocals"
INSTRUMENTAL = "instrumental"
WITHOUT = "no_"


class MadeBy(StrEnum):
    """Where the samples of a file come from."""

    MODEL = "model"
    SUBTRACTION = "subtraction"
    SUM = "sum"


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedFile:
    """A file to make: `stem` itself, or what is left without it."""

    name: str
    stem: str
    made_by: MadeBy = MadeBy.MODEL


def complements_of(stems: Sequence[str]) -> Mapping[str, str]:
    """Every complement's name with the stem it leaves out, in the stems' order.

    `instrumental` is another name of `no_vocals`. A stem of such a name stays a stem.
    """
    names = {f"{WITHOUT}{stem}": stem for stem in stems}
    if VOCALS in stems:
        names[INSTRUMENTAL] = VOCALS
    ordered = sorted(names.items(), key=lambda item: stems.index(item[1]))
    return {name: stem for name, stem in ordered if name not in stems}


def chosen_names(wanted: Sequence[str], card: ModelCard) -> tuple[str, ...]:
    """The wanted names, stems before complements, in the model's order; all stems for none.

    Raises InvalidInput for a name the model has nothing for and for two names of one complement.
    """
    complements = complements_of(card.stem_names)
    allowed = (*card.stem_names, *complements)
    if unknown := [name for name in wanted if name not in allowed]:
        raise InvalidInput(
            ErrorCode.UNKNOWN_STEM,
            f"The model {card.name!r} has no stem {unknown[0]!r}.",
            details={
                "unknown": unknown,
                "stems": list(card.stem_names),
                "complements": list(complements),
            },
        )
    if not wanted:
        return card.stem_names
    chosen = tuple(name for name in allowed if name in wanted)
    _require_each_once([name for name in chosen if name in complements], complements)
    return chosen


def _require_each_once(chosen: Sequence[str], complements: Mapping[str, str]) -> None:
    for name in chosen:
        twins = [other for other in chosen if complements[other] == complements[name]]
        if len(twins) > 1:
            raise InvalidInput(
                ErrorCode.INVALID_REQUEST,
                f"{' and '.join(twins)} are the same: name one of them.",
                details={"field": "stems", "same": twins},
            )


def wanted_files(request: SeparationRequest, card: ModelCard) -> tuple[WantedFile, ...]:
    """The request's files in its order; its names must be those of `chosen_names`."""
    complements = complements_of(card.stem_names)
    by_sum = request.complement is ComplementMode.SUM
    how = MadeBy.SUM if by_sum else MadeBy.SUBTRACTION
    return tuple(
        WantedFile(name=name, stem=complements[name], made_by=how)
        if name in complements
        else WantedFile(name=name, stem=name)
        for name in request.stems
    )


def inferred_stems(
    files: Sequence[WantedFile], card: ModelCard, *, consistency: bool
) -> tuple[str, ...]:
    """The stems that have to be computed for these files, in the model's order.

    A complement by subtraction needs the one stem it leaves out, by sum all the others. Stems that
    are to add up need each other.
    """
    needed = set[str]()
    for file in files:
        others = set(card.stem_names) - {file.stem}
        needed |= others if file.made_by is MadeBy.SUM else {file.stem}
    return tuple(stem for stem in card.stem_names if consistency or stem in needed)
