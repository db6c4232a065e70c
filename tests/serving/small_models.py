"""Models of a few hundred bytes, whole with card and config, for tests of what serves them."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from stemcore.model_card import Licences, ModelCard, StemSource

SAMPLES = 64
GAINS = {"drums": 0.5, "bass": 0.25}


def write_model(
    repository: Path,
    name: str,
    *,
    max_batch_size: int = 1,
    fragile: bool = False,
    rows: int = 1,
) -> Path:
    """A waveform model whose stems are the mix times GAINS; returns its folder.

    A fragile one cannot be run on a batch that holds a sample of `rows` or more: with 0 rows on
    nothing at all.
    """
    folder = repository / name
    (folder / "1").mkdir(parents=True)
    graph = _gain_graph(fragile=fragile, rows=rows)
    onnx.save(graph, folder / "1" / "model.onnx")
    card = _card(name, folder, max_batch_size=max_batch_size).to_json()
    (folder / "card.json").write_text(card)
    (folder / "config.pbtxt").write_text(_config(name, card, max_batch_size=max_batch_size))
    return folder


def rewrite(path: Path, change: Callable[[str], str]) -> None:
    path.write_text(change(path.read_text()))


def _gain_graph(*, fragile: bool, rows: int) -> onnx.ModelProto:
    shape = ["batch", 2, SAMPLES]
    mix = helper.make_tensor_value_info("mix", TensorProto.FLOAT, shape)
    gains = [
        helper.make_tensor(f"{stem}_gain", TensorProto.FLOAT, [rows], [gain] * rows)
        for stem, gain in GAINS.items()
    ]
    nodes = [helper.make_node("Mul", ["mix", f"{stem}_gain"], [stem]) for stem in GAINS]
    if fragile:
        nodes = [*_row_of_loudest(), *(node for stem in GAINS for node in _looked_up(stem))]
    stems = [helper.make_tensor_value_info(stem, TensorProto.FLOAT, shape) for stem in GAINS]
    graph = helper.make_graph(nodes, "gains", [mix], stems, gains)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _row_of_loudest() -> list[onnx.NodeProto]:
    return [
        helper.make_node("ReduceMax", ["mix"], ["loudest"], keepdims=0),
        helper.make_node("Cast", ["loudest"], ["row"], to=TensorProto.INT64),
    ]


def _looked_up(stem: str) -> list[onnx.NodeProto]:
    """The gains are a table; beyond its rows is out of bounds."""
    return [
        helper.make_node("Gather", [f"{stem}_gain", "row"], [f"{stem}_found"]),
        helper.make_node("Mul", ["mix", f"{stem}_found"], [stem]),
    ]


def _card(name: str, folder: Path, *, max_batch_size: int) -> ModelCard:
    digest = hashlib.sha256((folder / "1" / "model.onnx").read_bytes()).hexdigest()
    return ModelCard(
        name=name,
        description="gains",
        family="test",
        stems=tuple(StemSource(stem=stem, model=name, output=stem) for stem in GAINS),
        sample_rate=44_100,
        segment_samples=SAMPLES,
        profile="cpu" if max_batch_size == 1 else "cpu-batched",
        max_batch_size=max_batch_size,
        parameters=len(GAINS),
        files={"1/model.onnx": digest},
        licences=Licences(code="MIT", weights="none", noncommercial=False),
    )


def _config(name: str, card: str, *, max_batch_size: int) -> str:
    quoted = card.replace("\\", "\\\\").replace('"', '\\"')
    outputs = ", ".join(
        f'{{ name: "{stem}" data_type: TYPE_FP32 dims: [ 2, {SAMPLES} ] }}' for stem in GAINS
    )
    batching = "dynamic_batching { max_queue_delay_microseconds: 500000 }"
    return f"""
name: "{name}"
backend: "onnxruntime"
default_model_filename: "model.onnx"
max_batch_size: {max_batch_size}
input [ {{ name: "mix" data_type: TYPE_FP32 dims: [ 2, {SAMPLES} ] }} ]
output [ {outputs} ]
instance_group [ {{ kind: KIND_CPU count: 1 }} ]
{batching if max_batch_size > 1 else ""}
parameters {{ key: "card" value: {{ string_value: "{quoted}" }} }}
"""
