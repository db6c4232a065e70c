"""Which other engines may serve a model's files: each one's distance from the reference.

ONNX Runtime is judged by `verification`; here are the engines that may stand in for it.
"""

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from exporters.card_writer import MODEL_PATH, ModelFolder
from exporters.errors import FactsError
from exporters.export import specify
from exporters.openvino_engine import OpenvinoEngine, Precision, precisions_here
from exporters.parity import compare_signal
from exporters.reference import Reference
from exporters.runs import Engine, Stems, run_engine, run_torch
from exporters.signals import IMPULSES, trial_signals
from stemcore.model_card import EngineEvidence, ModelCard, ParityFigure

OPENVINO = "openvino"

Truths = Mapping[str, tuple[Any, Stems]]


def prove_engines(
    folder: ModelFolder, card: ModelCard, *, reference: Reference
) -> tuple[EngineEvidence, ...]:
    """Measures every engine of this environment that this CPU runs in hardware, passed or not.

    What the card says of SDR is kept: it belongs to the same file.
    """
    truths = _truths(reference, name=card.name)
    return tuple(
        dataclasses.replace(
            _known(card, precision),
            parity=tuple(_figures(folder, precision, truths, reference)),
        )
        for precision in precisions_here()
    )


def judged_engines(card: ModelCard, judged: Path) -> ModelCard:
    """The card with what its engines lose in SDR, as `python -m training engines` recorded it.

    Raises FactsError where another model was judged.
    """
    try:
        document = json.loads(judged.read_text())
        losses, model = document["lost_db"], document["model_sha256"]
        songs = int(document["songs"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FactsError(f"{judged} is no judgement of engines: {error!r}") from error
    if model != card.files.get(MODEL_PATH):
        raise FactsError(f"{judged} judges a model file that is not the card's: {model}")
    engines = tuple(
        dataclasses.replace(each, sdr_lost_db=losses[key], sdr_songs=songs)
        if (key := f"{each.engine}-{each.precision}") in losses
        else each
        for each in card.engines
    )
    return dataclasses.replace(card, engines=engines)


def _truths(reference: Reference, *, name: str) -> Truths:
    """Impulses are left out: float32 itself is at a loss with them."""
    exact: Callable[..., Any] = (
        reference.model if isinstance(reference.model, nn.Module) else reference.graph
    )
    return {
        signal: (audio, run_torch(exact, audio, reference.stems))
        for signal, audio in trial_signals(specify(reference, name=name)).items()
        if signal not in IMPULSES
    }


def _known(card: ModelCard, precision: Precision) -> EngineEvidence:
    known = card.evidence_for(OPENVINO, precision)
    return known or EngineEvidence(engine=OPENVINO, precision=precision, parity=())


def _figures(
    folder: ModelFolder, precision: Precision, truths: Truths, reference: Reference
) -> Iterator[ParityFigure]:
    engine: Engine = OpenvinoEngine(folder.model, precision=precision)
    what = "Demucs" if isinstance(reference.model, nn.Module) else "its graph in PyTorch"
    floors = reference.floors
    floor_db = floors.bf16_db if precision == "bf16" else floors.engine_db
    for signal, (audio, truth) in truths.items():
        (stems,) = run_engine(engine, audio[None])
        yield compare_signal(
            truth,
            stems,
            step=f"engine: OpenVINO {precision} against {what}",
            signal=signal,
            floor_db=floor_db,
        )
