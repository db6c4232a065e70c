"""A whole song through a model of summed windows, as plainly as numpy says it."""

from collections.abc import Callable

import numpy as np

from exporters.audio import Audio
from exporters.runs import Stems
from exporters.specification import WaveformSpecification


def separate_song(
    run: Callable[[Audio], Stems], song: Audio, *, specification: WaveformSpecification
) -> Stems:
    """`song` [channels, samples] to the same per stem.

    Window k stands at k hops less the lead-in, with silence around the song; every one that begins
    before the song's end adds its part.
    """
    joining, window = specification.joining, specification.segment_samples
    if joining.join != "sum" or joining.hop is None:
        raise ValueError(f"{specification.name} is not joined by sums")
    samples, lead_in = song.shape[-1], joining.lead_in_samples
    starts = range(0, samples + lead_in, joining.hop)
    padded = np.pad(song, ((0, 0), (lead_in, starts[-1] + window)))
    stems = {name: np.zeros_like(padded) for name in specification.stems}
    for start in starts:
        stretch = slice(start, start + window)
        for name, part in run(padded[:, stretch]).items():
            stems[name][:, stretch] += part
    return {name: stem[:, lead_in : lead_in + samples] for name, stem in stems.items()}
