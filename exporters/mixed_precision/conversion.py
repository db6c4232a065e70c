"""A verified model folder in fp32 to one in mixed precision, measured against it."""

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path

import onnx

from exporters.audio import Audio
from exporters.card_writer import (
    MODEL_PATH,
    ModelFolder,
    file_sha256,
    new_model_folder,
)
from exporters.engine import OnnxEngine
from exporters.errors import ModelFolderError, ParityError
from exporters.mixed_precision import PRECISION, to_mixed_precision
from exporters.parity import Step, compare, compare_silence
from exporters.profiles import PROFILES
from exporters.rounding import RoundingEngine
from exporters.runs import run_engine
from exporters.signals import SILENCE, trial_signals
from exporters.specification import WaveformSpecification
from stemcore.model_card import ModelCard, ParityFigure, Profile

CONVERTED_FROM = "converted_from_sha256"
REQUIRED_DB = 45.0
# One sample in digital silence: what is left of it lies far below that sample. See Step.ENGINE.
REQUIRED_IMPULSE_DB = 20.0
_IMPULSE = "lone click"


def convert_model(
    source: ModelFolder,
    *,
    name: str,
    repository: Path,
    profile: Profile,
    half_outputs: bool = False,
    part_of: str | None = None,
) -> ModelFolder:
    """Writes `repository/name` with its figures, passed or not.

    Raises ModelFolderError where there is nothing to convert, ParityError where the source is
    not proven, UnsupportedModel where the graph cannot be told apart.
    """
    card = proven(source)
    signals = trial_signals(WaveformSpecification.of(card))
    with new_model_folder(repository, name) as folder:
        exact = onnx.load(str(source.model))
        mixed = to_mixed_precision(exact, signals=signals.values(), half_outputs=half_outputs)
        onnx.save(mixed, str(folder.model))
        figures = measure_conversion(source.model, folder.model, signals)
        converted = dataclasses.replace(
            derived_card(card, name=name, profile=profile, model_file=folder.model),
            precision=PRECISION,
            output_precision="fp16" if half_outputs else "fp32",
            parity=(*card.parity, *figures),
            part_of=part_of,
            sdr=None,
        )
        folder.write(converted, threads=0)
    return ModelFolder(repository / name)


def derived_card(card: ModelCard, *, name: str, profile: Profile, model_file: Path) -> ModelCard:
    """The card of another file that computes the same, under its own name and profile."""
    stems = (dataclasses.replace(source, model=name) for source in card.stems)
    (origin,) = card.files.values()
    return dataclasses.replace(
        card,
        name=name,
        stems=tuple(stems),
        profile=profile,
        max_batch_size=PROFILES[profile].max_batch_size,
        files={f"{Path(MODEL_PATH).parent}/{model_file.name}": file_sha256(model_file)},
        engines=(),
        provenance=dict(card.provenance) | {CONVERTED_FROM: origin},
    )


def measure_conversion(
    exact: Path, mixed: Path, signals: Mapping[str, Audio]
) -> Iterator[ParityFigure]:
    """The graph where every fp16 tensor is rounded, against ONNX Runtime in fp32."""
    reference, candidate = OnnxEngine(exact), RoundingEngine(mixed)
    for signal, audio in signals.items():
        (truth,), (found,) = (run_engine(each, audio[None]) for each in (reference, candidate))
        if signal == SILENCE:
            yield compare_silence(truth, found, step=Step.HALF, signal=signal)
        else:
            floor_db = REQUIRED_IMPULSE_DB if signal == _IMPULSE else REQUIRED_DB
            yield compare(truth, found, step=Step.HALF, signal=signal, floor_db=floor_db)


def proven(source: ModelFolder) -> ModelCard:
    """The card of a verified graph in fp32; else ModelFolderError or ParityError says why."""
    card = source.read_card()
    if card.parts:
        raise ModelFolderError(
            f"{source.path} is a bag: convert its parts, {', '.join(card.parts)}"
        )
    if set(card.files) != {MODEL_PATH} or card.precision != "fp32":
        raise ModelFolderError(f"{source.path} holds no graph in fp32: export it again")
    if card.files[MODEL_PATH] != file_sha256(source.model):
        raise ModelFolderError(f"{source.model} is not the file on its card: export it again")
    if not card.parity_passed:
        raise ParityError(f"{source.path} has no passed parity: verify it first")
    return card
