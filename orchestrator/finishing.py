"""From a model's stems, joined, to what is delivered: level, consistency, complements."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestrator.audio.consistency import consistent
from orchestrator.audio.full_scale import clamped_together
from orchestrator.audio.normalisation import IDENTITY, Normalisation
from orchestrator.mix import Mix
from orchestrator.null_test import NullTest
from stemcore.errors import ErrorCode, Unavailable
from stemcore.model_card import ModelCard
from stemcore.separation_request import ClipMode, SeparationRequest
from stemcore.stem_choice import MadeBy, WantedFile, inferred_stems, wanted_files

Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The files to make, and of which stems; with `consistency` these add up to the mix.

    With `within_full_scale` consistent stems are also kept from having to be clipped.
    """

    files: Sequence[WantedFile]
    stems: Sequence[str]
    consistency: bool = False
    within_full_scale: bool = False

    @classmethod
    def of(cls, request: SeparationRequest, card: ModelCard) -> "Recipe":
        """What the request needs of the card's model."""
        files = wanted_files(request, card)
        return cls(
            files=files,
            stems=inferred_stems(files, card, consistency=request.consistency),
            consistency=request.consistency,
            within_full_scale=request.clip is ClipMode.CLAMP,
        )

    @classmethod
    def of_stems(cls, stems: Sequence[str]) -> "Recipe":
        """These stems as the model makes them."""
        return cls(files=[WantedFile(name=stem, stem=stem) for stem in stems], stems=stems)

    def made(self, stems: Samples, mix: Samples) -> Samples:
        """The files' samples of a stretch: (stems, channels, n), (channels, n), to (files, ...)."""
        if self._is_plain:
            return stems
        return np.stack([self._file(file, stems, mix) for file in self.files])

    @property
    def _is_plain(self) -> bool:
        return [(file.stem, file.made_by) for file in self.files] == [
            (stem, MadeBy.MODEL) for stem in self.stems
        ]

    def share_of_song(self, file: WantedFile) -> float:
        """How much of the song itself is in a file: all, in what is the song without a stem.

        Consistent stems have equal parts in it, as far as the model has not heard it.
        """
        of_stem = 1 / len(self.stems) if self.consistency else 0.0
        return of_stem if file.made_by is MadeBy.MODEL else self._share_of_others(file, of_stem)

    def _share_of_others(self, file: WantedFile, of_stem: float) -> float:
        if file.made_by is MadeBy.SUBTRACTION:
            return 1 - of_stem
        return of_stem * (len(self.stems) - 1)

    @property
    def leans_on_song(self) -> bool:
        """Whether any file has a share of the song itself."""
        return any(self.share_of_song(file) for file in self.files)

    def _file(self, file: WantedFile, stems: Samples, mix: Samples) -> Samples:
        match file.made_by:
            case MadeBy.MODEL:
                return stems[self.stems.index(file.stem)]
            case MadeBy.SUBTRACTION:
                return mix - stems[self.stems.index(file.stem)]
            case MadeBy.SUM:
                others = [row for row, stem in enumerate(self.stems) if stem != file.stem]
                return stems[others].sum(axis=0)


class Finishing:
    """Takes the joined stems of a track in order, as the model gives them."""

    def __init__(self, recipe: Recipe, *, mix: Mix, card: ModelCard, null: NullTest) -> None:
        self._recipe = recipe
        self._mix = mix
        self._normalisation = normalisation_of(mix, card)
        self._null = null
        self._position = 0

    def take(self, stems: Samples) -> Samples:
        """(stems, channels, n), changed on the way, to (files, channels, n)."""
        self._normalisation.undo(stems)
        require_numbers(stems)
        mix = self._mix.window(self._position, stems.shape[-1])
        self._position += stems.shape[-1]
        stems = self._adding_up(stems, mix)
        self._null.add(mix, stems)
        return self._recipe.made(stems, mix)

    def _adding_up(self, stems: Samples, mix: Samples) -> Samples:
        if not self._recipe.consistency:
            return stems
        stems = consistent(stems, mix)
        return clamped_together(stems) if self._recipe.within_full_scale else stems


def normalisation_of(mix: Mix, card: ModelCard) -> Normalisation:
    """What the model's card says is taken off the mix, and put back at the end."""
    return mix.facts.normalisation if card.normalisation == "track" else IDENTITY


def require_numbers(stems: Samples) -> None:
    """Raises Unavailable for what is infinite or no number."""
    if not np.isfinite(stems).all():
        raise Unavailable(ErrorCode.ENGINE_FAILED, "The model gave samples that are not numbers.")
