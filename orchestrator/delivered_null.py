"""How far the files, as they are decoded, are from adding up to the song."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import log10

import numpy as np
from numpy.typing import NDArray

from orchestrator.audio.wav import quantised
from orchestrator.delivery import DeliveryReport, FileFormat, Shaper, gain_of
from orchestrator.finishing import Recipe
from orchestrator.full_band import FullBand
from orchestrator.null_test import NullTest
from orchestrator.tape import Tape
from stemcore.model_card import ModelCard
from stemcore.stem_choice import MadeBy, WantedFile
from stemcore.tasks import to_its_end

Samples = NDArray[np.float32]

FLOAT_BIT_DEPTH = 32


@dataclass(slots=True, kw_only=True)
class DeliveredNull:
    """The null test of the files, and the gain that all of them have."""

    gain: float = 1.0
    null: NullTest = field(default_factory=NullTest)

    @property
    def gain_db(self) -> float:
        """20 log10 of the gain."""
        return 20 * log10(self.gain)


def complete_set(recipe: Recipe, card: ModelCard) -> Sequence[WantedFile]:
    """Files that make up the song: all stems, or one and its complement; maybe none."""
    stems = {file.stem: file for file in recipe.files if file.made_by is MadeBy.MODEL}
    if set(stems) == set(card.stem_names):
        return list(stems.values())
    for file in recipe.files:
        if file.made_by is not MadeBy.MODEL and file.stem in stems:
            return [stems[file.stem], file]
    return []


async def delivered_null(
    band: FullBand, tape: Tape, shares: Mapping[str, float], *, file: FileFormat
) -> DeliveredNull:
    """Shape and quantise the files once more, in step, while the tape grows.

    `shares` are the files with their shares of the song. They are compared with the song at their
    rate and, with `rescale`, their gain, which must be one for all.
    """
    gain = await gain_of(tape, next(iter(shares)), file)
    result = DeliveredNull(gain=float(gain))
    song = band.song(rate_hz=file.sample_rate_hz, total_frames=file.frames)
    shapers = {
        name: Shaper(file, band=band, share=share, gain=gain, report=DeliveryReport())
        for name, share in shares.items()
    }

    def compare(shaped: Callable[[str], Samples]) -> None:
        files = [_decoded(shaped(name), file.bit_depth) for name in shapers]
        summed = np.sum(files, axis=0)
        result.null.add_sum(song.take(len(summed)) * np.float64(gain), summed)

    def push(position: int, frames: int) -> None:
        compare(lambda name: shapers[name].push(tape.read(name, position, frames=frames)))

    async for position, frames in tape.stretches():
        await to_its_end(asyncio.to_thread(push, position, frames))
    await to_its_end(asyncio.to_thread(compare, lambda name: shapers[name].finish()))
    return result


def _decoded(samples: Samples, bit_depth: int) -> NDArray[np.float64]:
    """What a reader of the file gets back."""
    if bit_depth == FLOAT_BIT_DEPTH:
        return samples.astype(np.float64)
    return quantised(samples, bit_depth=bit_depth) / float(1 << (bit_depth - 1))
