"""Cards with evidence, for tests of which engine serves a model."""

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from stemcore.model_card import CARD_PARAMETER, EngineEvidence, ModelCard, ParityFigure

BF16 = ("openvino", "bf16")
FP32 = ("openvino", "fp32")


def figure(snr_db: float = 120.0) -> ParityFigure:
    return ParityFigure(
        step="an engine against the reference",
        signal="noise",
        worst_stem="drums",
        snr_db=snr_db,
        required_db=36.0,
        passed=snr_db >= 36.0,
    )


def evidence(engine: str, precision: str, **changes: Any) -> EngineEvidence:
    proven = EngineEvidence(engine=engine, precision=precision, parity=(figure(),))
    return dataclasses.replace(proven, **changes)


def prove(folder: Path, *engines: EngineEvidence, parity_db: float = 120.0) -> Path:
    """The model's own parity, and that of other engines, on its card and in its config.

    The model's file may have been replaced before: the card has the digest of what is there.
    """
    path = folder / "config.pbtxt"
    schema: Any = model_config_pb2
    config = text_format.Parse(path.read_text(), schema.ModelConfig())
    card = ModelCard.from_json(config.parameters[CARD_PARAMETER].string_value)
    digest = hashlib.sha256((folder / "1" / "model.onnx").read_bytes()).hexdigest()
    card = dataclasses.replace(
        card, parity=(figure(parity_db),), engines=engines, files={"1/model.onnx": digest}
    )
    config.parameters[CARD_PARAMETER].string_value = card.to_json()
    path.write_text(text_format.MessageToString(config))
    (folder / "card.json").write_text(card.to_json())
    return folder
