"""How far the files, as they are decoded, are from adding up to the song."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import log10

import numpy as np
from numpy.typing import NDArray

from orchestrator.audio.resample import RateConverter
from orchestrator.audio.wav import quantised
from orchestrator.delivery import DeliveryReport, FileFormat, Shaper, gain_of
from orchestrator.mix import CHANNELS, Mix
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


def complete_set(files: Sequence[WantedFile], card: ModelCard) -> Sequence[str]:
    """Names of files that make up the song: all stems, or one and its complement; maybe none."""
    stems = [file.name for file in files if file.made_by is MadeBy.MODEL]
    if set(stems) == set(card.stem_names):
        return stems
    for file in files:
        if file.made_by is not MadeBy.MODEL and file.stem in stems:
            return [file.stem, file.name]
    return []


async def delivered_null(
    mix: Mix, tape: Tape, names: Sequence[str], *, file: FileFormat
) -> DeliveredNull:
    """Shape and quantise the files once more, in step, while the tape grows.

    The song is the mix that the model was given, at the files' rate and, with `rescale`, their
    gain. `names` must be of files of one gain.
    """
    source_hz = mix.facts.sample_rate_hz
    gain = await gain_of(tape, names[0], file)
    result = DeliveredNull(gain=float(gain))
    converter = RateConverter(source_hz=source_hz, target_hz=file.sample_rate_hz, channels=CHANNELS)
    shapers = {
        name: Shaper(file, source_hz=source_hz, gain=gain, report=DeliveryReport())
        for name in names
    }

    def compare(song: Samples, shaped: Callable[[str], Samples]) -> None:
        summed = sum(_decoded(shaped(name), file.bit_depth) for name in names)
        result.null.add_sum(song * np.float64(gain), np.asarray(summed))

    def push(position: int, frames: int) -> None:
        song = converter.push(np.ascontiguousarray(mix.window(position, frames).T))
        compare(song, lambda name: shapers[name].push(tape.read(name, position, frames=frames)))

    async for position, frames in tape.stretches():
        await to_its_end(asyncio.to_thread(push, position, frames))
    rest = converter.finish(total_frames=file.frames)
    await to_its_end(asyncio.to_thread(compare, rest, lambda name: shapers[name].finish()))
    return result


def _decoded(samples: Samples, bit_depth: int) -> NDArray[np.float64]:
    """What a reader of the file gets back."""
    if bit_depth == FLOAT_BIT_DEPTH:
        return samples.astype(np.float64)
    return quantised(samples, bit_depth=bit_depth) / float(1 << (bit_depth - 1))
