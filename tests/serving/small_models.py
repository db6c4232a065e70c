"""Models of a few hundred bytes, whole with card and config, for tests of what serves them."""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

from stemcore.model_card import Licences, ModelCard, ParityFigure, StemSource

SAMPLES = 64
GAINS = {"drums": 0.5, "bass": 0.25, "other": 0.125, "vocals": 0.75}


def write_model(
    repository: Path,
    name: str,
    *,
    max_batch_size: int = 1,
    instances: int = 1,
    fragile: bool = False,
    rows: int = 1,
    gains: Mapping[str, float] = GAINS,
    part_of: str | None = None,
    content: bytes | None = None,
) -> Path:
    """A waveform model whose stems are the mix times `gains`; returns its folder.

    A fragile one cannot be run on a batch that holds a sample of `rows` or more: with 0 rows on
    nothing at all. `content` takes the place of the model's file.
    """
    folder = repository / name
    (folder / "1").mkdir(parents=True)
    model = folder / "1" / "model.onnx"
    graph = _gain_graph(gains, fragile=fragile, rows=rows).SerializeToString()
    model.write_bytes(graph if content is None else content)
    card = small_card(
        name,
        stems=dict.fromkeys(gains, name),
        profile="cpu" if max_batch_size == 1 else "cpu-batched",
        max_batch_size=max_batch_size,
        files={"1/model.onnx": hashlib.sha256(model.read_bytes()).hexdigest()},
        part_of=part_of,
    )
    batching = "dynamic_batching { max_queue_delay_microseconds: 500000 }"
    write_described(
        folder,
        card,
        f"""
backend: "onnxruntime"
default_model_filename: "model.onnx"
instance_group [ {{ kind: KIND_CPU count: {instances} }} ]
{batching if max_batch_size > 1 else ""}
""",
    )
    return folder


def write_described(folder: Path, card: ModelCard, config: str) -> None:
    """The card, alone and in a config.pbtxt of `config` and what every config says."""
    text = card.to_json()
    (folder / "card.json").write_text(text)
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    outputs = ", ".join(
        f'{{ name: "{stem}" data_type: TYPE_FP32 dims: [ 2, {SAMPLES} ] }}'
        for stem in card.stem_names
    )
    (folder / "config.pbtxt").write_text(
        f"""
name: "{card.name}"
max_batch_size: {card.max_batch_size}
input [ {{ name: "mix" data_type: TYPE_FP32 dims: [ 2, {SAMPLES} ] }} ]
output [ {outputs} ]
parameters {{ key: "card" value: {{ string_value: "{quoted}" }} }}
{config}"""
    )


def rewrite(path: Path, change: Callable[[str], str]) -> None:
    path.write_text(change(path.read_text()))


def _gain_graph(gains: Mapping[str, float], *, fragile: bool, rows: int) -> onnx.ModelProto:
    shape = ["batch", 2, SAMPLES]
    mix = helper.make_tensor_value_info("mix", TensorProto.FLOAT, shape)
    tables = [
        helper.make_tensor(f"{stem}_gain", TensorProto.FLOAT, [rows], [gain] * rows)
        for stem, gain in gains.items()
    ]
    nodes = [helper.make_node("Mul", ["mix", f"{stem}_gain"], [stem]) for stem in gains]
    if fragile:
        nodes = [*_row_of_loudest(), *(node for stem in gains for node in _looked_up(stem))]
    stems = [helper.make_tensor_value_info(stem, TensorProto.FLOAT, shape) for stem in gains]
    graph = helper.make_graph(nodes, "gains", [mix], stems, tables)
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


def small_card(name: str, *, stems: Mapping[str, str], **changes: Any) -> ModelCard:
    """A card that may be used; `stems` says which model each stem is an output of."""
    proof = ParityFigure(
        step="definition",
        signal="any",
        worst_stem="drums",
        passed=True,
        snr_db=200.0,
        required_db=100.0,
    )
    return ModelCard(
        name=name,
        description="gains",
        family="test",
        stems=tuple(StemSource(stem=s, model=model, output=s) for s, model in stems.items()),
        sample_rate=44_100,
        segment_samples=SAMPLES,
        parameters=len(stems),
        parity=(proof,),
        licences=Licences(code="MIT", weights="none", noncommercial=False),
        **changes,
    )
