"""Is the exported model the reference? Names, axes and shapes first, then values, step by step."""

import copy
import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np
from torch import nn

from exporters.audio import Audio
from exporters.card_writer import ModelFolder, make_card
from exporters.engine import OnnxEngine, TensorDeclaration
from exporters.engine_evidence import prove_engines
from exporters.errors import ModelFolderError, ParityError
from exporters.export import specify
from exporters.facts import facts_of
from exporters.mixed_precision.conversion import CONVERTED_FROM
from exporters.parity import BEST_SNR_DB, ROUNDING_MARGIN_DB, Step, compare_signal, snr_db
from exporters.reference import Reference
from exporters.runs import Engine, Stems, run_engine, run_torch
from exporters.signals import IMPULSES, SILENCE, trial_signals
from exporters.song_parity import measure_songs
from exporters.specification import BATCH_AXIS, INPUT_NAME, WaveformSpecification
from stemcore.model_card import ModelCard, ParityFigure

BATCHES = {
    Step.BATCH_2: ("music", "noise"),
    Step.BATCH_4: ("noise", "clicks", "music", SILENCE),
}


def verify_model(folder: ModelFolder, *, name: str, reference: Reference) -> ModelCard:
    """Measures, then writes figures and hash into card and config, passed or not.

    Raises ParityError, and leaves a card without parity, when the graph declares something else
    than the specification.
    """
    specification = specify(reference, name=name)
    written, threads = folder.read_card(), folder.read_threads()
    if written.parts:
        raise ModelFolderError(f"{name} is a bag, and the checkpoint a single model")
    if CONVERTED_FROM in written.provenance:
        raise ModelFolderError(f"{name} was derived: verify its origin, then derive it again")
    folder.write(dataclasses.replace(written, parity=()), threads=threads)
    engine = OnnxEngine(folder.model)
    check_declarations(engine, specification)
    card = make_card(
        specification,
        facts=facts_of(written),
        profile=written.profile,
        model_file=folder.model,
        part_of=written.part_of,
    )
    figures = tuple(measure(engine, specification, reference))
    card = dataclasses.replace(card, parity=figures)
    if card.parity_passed and card.profile == "cpu":
        known = written.engines if written.files == card.files else ()
        card = dataclasses.replace(card, engines=known)
        engines = prove_engines(folder, card, reference=reference)
        card = dataclasses.replace(card, engines=engines)
    folder.write(card, threads=threads)
    return card


def check_declarations(engine: OnnxEngine, specification: WaveformSpecification) -> None:
    expected_inputs = _declarations(specification, INPUT_NAME)
    expected_outputs = _declarations(specification, *specification.stems)
    if engine.inputs != expected_inputs:
        raise ParityError(f"inputs are {engine.inputs}, expected {expected_inputs}")
    if engine.outputs != expected_outputs:
        raise ParityError(f"outputs are {engine.outputs}, expected {expected_outputs}")


def measure(
    engine: Engine, specification: WaveformSpecification, reference: Reference
) -> Iterator[ParityFigure]:
    """Each error where it arises: the rewritten graph, the engine, the company in a batch."""
    signals = trial_signals(specification)
    alone = {signal: run_engine(engine, audio[None])[0] for signal, audio in signals.items()}
    if isinstance(reference.model, nn.Module):
        yield from _measure_segments(reference, reference.model, signals, alone)
    else:
        yield from measure_songs(engine, specification, reference, reference.model)
    for step, members in BATCHES.items():
        together = run_engine(engine, np.stack([signals[signal] for signal in members]))
        for signal, stems in zip(members, together, strict=True):
            yield compare_signal(
                alone[signal], stems, step=step, signal=signal, floor_db=reference.floors.of(step)
            )


def _measure_segments(
    reference: Reference,
    model: nn.Module,
    signals: Mapping[str, Audio],
    engine: Mapping[str, Stems],
) -> Iterator[ParityFigure]:
    """Against Demucs in float64: in float32 it can be further from itself than a floor allows."""
    exact = copy.deepcopy(model).double()
    for signal, audio in signals.items():
        truth = run_torch(exact, audio.astype("d"), reference.stems)
        graph = run_torch(reference.graph, audio, reference.stems)
        reachable_db = BEST_SNR_DB
        if signal in IMPULSES:
            own = run_torch(model, audio, reference.stems)
            reachable_db = _reachable_db(truth, own)
        for step, stems in ((Step.GRAPH, graph), (Step.ENGINE, engine[signal])):
            floor_db = min(reference.floors.of(step), reachable_db)
            yield compare_signal(truth, stems, step=step, signal=signal, floor_db=floor_db)


def _reachable_db(truth: Stems, own: Stems) -> float:
    """What a candidate as exact as Demucs in float32 reaches.

    A lone sample comes out of the input's normalisation hundreds of deviations high, where Demucs
    in float32 was seen 79 dB from itself in float64: nothing can be closer to it than it is.
    """
    own_db = min(snr_db(truth[stem], own[stem]) for stem in truth)
    return round(own_db - ROUNDING_MARGIN_DB, 1)


def _declarations(
    specification: WaveformSpecification, *names: str
) -> tuple[TensorDeclaration, ...]:
    shape = (BATCH_AXIS, *specification.signal_shape)
    return tuple(TensorDeclaration(name=n, type="tensor(float)", shape=shape) for n in names)
