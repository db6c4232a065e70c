"""A verified model folder to one whose stems travel as fp16, where that is exact enough."""

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx

from exporters.audio import Audio
from exporters.card_writer import ModelFolder, new_model_folder
from exporters.engine import OnnxEngine
from exporters.errors import ParityError
from exporters.mixed_precision.conversion import derived_card, proven
from exporters.mixed_precision.graphs import halve_outputs
from exporters.parity import Step, compare_signal
from exporters.runs import run_engine
from exporters.signals import music_like, trial_signals
from exporters.specification import WaveformSpecification
from stemcore.model_card import ModelCard, ParityFigure

REQUIRED_DB = 60.0
# fp16 has fewer digits below 6e-5, which are lost first where all is quiet: 60 dB below the track's
# deviation, where it is taken off, else below full scale.
QUIET = 1e-3


def halve_model_outputs(source: ModelFolder, *, name: str, repository: Path) -> ModelFolder:
    """Writes `repository/name`: the same graph in fp32, its outputs rounded at the very end.

    Raises ModelFolderError where there is nothing to convert, and ParityError, leaving nothing,
    where the source is not proven or a stem comes closer than 60 dB to its rounding.
    """
    card = proven(source)
    with new_model_folder(repository, name) as folder:
        graph = onnx.load(str(source.model))
        halve_outputs(graph.graph)
        onnx.save(graph, str(folder.model))
        figures = tuple(_measure(source, folder, _signals(card)))
        _require(figures, name=name)
        derived = derived_card(card, name=name, profile=card.profile, model_file=folder.model)
        halved = dataclasses.replace(
            derived, output_precision="fp16", parity=(*card.parity, *figures)
        )
        folder.write(halved, threads=source.read_threads())
    return ModelFolder(repository / name)


def _signals(card: ModelCard) -> Mapping[str, Audio]:
    specification = WaveformSpecification.of(card)
    music = music_like(specification)
    level = music.std() if card.normalisation == "track" else np.abs(music).max()
    quiet = (music * (QUIET / level)).astype(np.float32)
    return {**trial_signals(specification), "quiet music": quiet}


def _measure(
    source: ModelFolder, halved: ModelFolder, signals: Mapping[str, Audio]
) -> Iterator[ParityFigure]:
    single, half = OnnxEngine(source.model), OnnxEngine(halved.model)
    for signal, audio in signals.items():
        (truth,), (found,) = (run_engine(each, audio[None]) for each in (single, half))
        yield compare_signal(
            truth, found, step=Step.HALF_OUTPUTS, signal=signal, floor_db=REQUIRED_DB
        )


def _require(figures: tuple[ParityFigure, ...], *, name: str) -> None:
    failed = [figure for figure in figures if not figure.passed]
    if failed:
        seen = ", ".join(f"{each.signal} {each.snr_db} dB ({each.worst_stem})" for each in failed)
        raise ParityError(
            f"{name}: fp16 outputs reach {seen}, at least {REQUIRED_DB} dB are needed: serve the"
            " model with its fp32 outputs"
        )
