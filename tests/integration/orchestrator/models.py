"""The model of `cards.py` as a file for Triton: the mix times a gain per stem."""

import hashlib
from dataclasses import replace
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from stemcore.model_card import ModelCard
from tests.integration.orchestrator.cards import GAINS, SEGMENT_SAMPLES, gain_card


def write_gain_model(
    repository: Path, name: str = "gains", *, half_outputs: bool = False
) -> ModelCard:
    """Write the model with its card and config; returns the card."""
    folder = repository / name
    (folder / "1").mkdir(parents=True)
    onnx.save(_graph(half_outputs=half_outputs), folder / "1" / "model.onnx")
    digest = hashlib.sha256((folder / "1" / "model.onnx").read_bytes()).hexdigest()
    card = replace(
        gain_card(name, digest=digest), output_precision="fp16" if half_outputs else "fp32"
    )
    (folder / "card.json").write_text(card.to_json())
    (folder / "config.pbtxt").write_text(_config(card))
    return card


def _graph(*, half_outputs: bool) -> onnx.ModelProto:
    shape = ["batch", 2, SEGMENT_SAMPLES]
    kind = TensorProto.FLOAT16 if half_outputs else TensorProto.FLOAT
    mix = helper.make_tensor_value_info("mix", TensorProto.FLOAT, shape)
    stems = [helper.make_tensor_value_info(stem, kind, shape) for stem in GAINS]
    gains = [helper.make_tensor(f"{s}_gain", TensorProto.FLOAT, [], [g]) for s, g in GAINS.items()]
    nodes = [helper.make_node("Mul", ["mix", f"{stem}_gain"], [f"{stem}_single"]) for stem in GAINS]
    nodes += [helper.make_node("Cast", [f"{stem}_single"], [stem], to=kind) for stem in GAINS]
    graph = helper.make_graph(nodes, "gains", [mix], stems, gains)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _config(card: ModelCard) -> str:
    quoted = card.to_json().replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    dims = f"dims: [ 2, {SEGMENT_SAMPLES} ]"
    kind = f"data_type: TYPE_{card.output_precision.upper()}"
    outputs = ", ".join(f'{{ name: "{stem}" {kind} {dims} }}' for stem in GAINS)
    return f"""
name: "{card.name}"
backend: "onnxruntime"
default_model_filename: "model.onnx"
max_batch_size: 1
input [ {{ name: "mix" data_type: TYPE_FP32 {dims} }} ]
output [ {outputs} ]
instance_group [ {{ kind: KIND_CPU count: 1 }} ]
parameters {{ key: "card" value: {{ string_value: "{quoted}" }} }}
"""
