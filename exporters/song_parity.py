"""Whole songs through the exported model, against the program of its authors."""

from collections.abc import Iterator
from functools import partial

from exporters.audio import Audio
from exporters.parity import Step, compare_signal
from exporters.reference import Reference, SongSeparator
from exporters.runs import Engine, Stems, run_engine, run_torch
from exporters.signals import trial_songs
from exporters.specification import WaveformSpecification
from exporters.windows import separate_song
from stemcore.model_card import ParityFigure


def measure_songs(
    engine: Engine,
    specification: WaveformSpecification,
    reference: Reference,
    separator: SongSeparator,
) -> Iterator[ParityFigure]:
    """The rewritten graph and the engine, joined by the card's plan."""
    songs = trial_songs(specification)
    truths = separator.separate(list(songs.values()))
    runs = {
        Step.GRAPH_SONG: partial(run_torch, reference.graph, stems=reference.stems),
        Step.ENGINE_SONG: partial(_run_alone, engine),
    }
    for (signal, song), truth in zip(songs.items(), truths, strict=True):
        for step, run in runs.items():
            stems = separate_song(run, song, specification=specification)
            floor_db = reference.floors.of(step)
            yield compare_signal(truth, stems, step=step, signal=signal, floor_db=floor_db)


def _run_alone(engine: Engine, audio: Audio) -> Stems:
    return run_engine(engine, audio[None])[0]
