"""Which engine serves a model on this machine: the fastest that its card has evidence for."""

import dataclasses
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serving.errors import ModelRefused, RefusalReason
from serving.inspection import VerifiedModel, copied
from serving.settings import EngineChoice
from stemcore.model_card import CARD_PARAMETER, EngineEvidence, ModelCard

ONNX_RUNTIME = "onnxruntime"
OPENVINO = "openvino"
BF16 = "bf16"
FP32 = "fp32"
CACHE_PARAMETER = "stemyard_model_cache"

# Fastest first, as measured on full-size HTDemucs.
PREFERENCE: Mapping[EngineChoice, tuple[str, str]] = {
    "openvino-bf16": (OPENVINO, BF16),
    "openvino-fp32": (OPENVINO, FP32),
    "onnxruntime-fp32": (ONNX_RUNTIME, FP32),
}
# Without these instructions bfloat16 is emulated, and slower than float32.
_BF16_FLAGS = frozenset({"amx_bf16", "avx512_bf16"})

WantedEngine = Callable[[str], EngineChoice | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What an engine needs to find here; `model_cache` is where OpenVINO keeps compiled models."""

    cpu_flags: frozenset[str]
    openvino: bool
    model_cache: Path

    @classmethod
    def found(cls, *, model_cache: Path, cpuinfo: Path = Path("/proc/cpuinfo")) -> "Machine":
        """This machine, and the packages of this interpreter."""
        lines = cpuinfo.read_text().splitlines()
        flags = next((line for line in lines if line.startswith("flags")), "")
        return cls(
            cpu_flags=frozenset(flags.partition(":")[2].split()),
            openvino=importlib.util.find_spec(OPENVINO) is not None,
            model_cache=model_cache,
        )

    def lacks(self, engine: str, precision: str) -> str | None:
        """What keeps an engine from running here at all."""
        if engine == OPENVINO and not self.openvino:
            return "the package openvino is not installed"
        if precision == BF16 and not self.cpu_flags & _BF16_FLAGS:
            return f"this CPU has none of {', '.join(sorted(_BF16_FLAGS))}"
        return None


def fitted(model: VerifiedModel, machine: Machine, *, wanted: WantedEngine) -> VerifiedModel:
    """The model with config and card of the engine that serves it here; a bag with its parts.

    `wanted` gives the engine that a setting asks for, by name of a model. Raises ModelRefused.
    """
    if model.parts:
        return _fitted_bag(model, machine, wanted=wanted)
    if model.card.profile != "cpu":
        return model
    evidence = _chosen(model, machine, wanted=wanted(model.name))
    if (evidence.engine, evidence.precision) == (model.card.engine, model.card.precision):
        return model
    card = model.card.served_by(evidence)
    config = _config_with(card, model)
    _run_by(config, evidence, machine)
    return dataclasses.replace(model, config=config, card=card)


def _chosen(
    model: VerifiedModel, machine: Machine, *, wanted: EngineChoice | None
) -> EngineEvidence:
    """Where nothing is proven the card's own engine stays: the catalogue will refuse the model."""
    if wanted is not None:
        return _asked_for(model, machine, wanted)
    known = (model.card.evidence_for(*each) for each in PREFERENCE.values())
    possible = (
        evidence
        for evidence in known
        if evidence and evidence.passed and not machine.lacks(evidence.engine, evidence.precision)
    )
    own = model.card.own_engine
    return next(possible, own) if model.card.parity_passed else own


def _asked_for(model: VerifiedModel, machine: Machine, wanted: EngineChoice) -> EngineEvidence:
    """A setting cannot replace evidence."""
    engine, precision = PREFERENCE[wanted]
    if lack := machine.lacks(engine, precision):
        raise ModelRefused(RefusalReason.ENGINE_NOT_HERE, f"{wanted}: {lack}")
    card = model.card
    if (engine, precision) == (card.engine, card.precision):
        return card.own_engine
    evidence = card.evidence_for(engine, precision)
    if evidence is None or not (card.parity_passed and evidence.passed):
        detail = (
            f"the card has no passed evidence for {wanted}: "
            f"measure it with `python -m exporters verify {model.name}`"
        )
        raise ModelRefused(RefusalReason.ENGINE_NOT_PROVEN, detail)
    return evidence


def _fitted_bag(bag: VerifiedModel, machine: Machine, *, wanted: WantedEngine) -> VerifiedModel:
    """A bag names the cards of its parts as they are served."""
    parts = tuple(fitted(part, machine, wanted=wanted) for part in bag.parts)
    if parts == bag.parts:
        return bag
    engines = sorted({part.card.engine for part in parts})
    precisions = sorted({part.card.precision for part in parts})
    card = dataclasses.replace(
        bag.card,
        engine=" and ".join(engines),
        precision=" and ".join(precisions),
        parity=tuple(figure for part in parts for figure in part.card.parity),
        parts={part.name: part.card.digest for part in parts},
    )
    config = _config_with(card, bag)
    return dataclasses.replace(bag, config=config, card=card, parts=parts)


def _config_with(card: ModelCard, model: VerifiedModel) -> Any:
    """A copy of the model's config that bears another card."""
    config = copied(model.config)
    config.parameters[CARD_PARAMETER].string_value = card.to_json()
    return config


def _run_by(config: Any, evidence: EngineEvidence, machine: Machine) -> None:
    config.backend = evidence.engine
    if evidence.engine != OPENVINO:
        return
    told = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": "1",
        "INFERENCE_PRECISION_HINT": "bf16" if evidence.precision == BF16 else "f32",
        CACHE_PARAMETER: str(machine.model_cache),
    }
    if evidence.precision == BF16:
        told["HINT_BF16"] = "YES"
    for name, text in told.items():
        config.parameters[name].string_value = text
