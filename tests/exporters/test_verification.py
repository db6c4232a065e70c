"""Verification passes what is right and fails what is planted."""

import dataclasses
import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import ModelProto, NodeProto, numpy_helper
from torch import Tensor, nn

from exporters.__main__ import main
from exporters.card_writer import ModelFolder, file_sha256
from exporters.engine import OnnxEngine
from exporters.errors import ParityError
from exporters.export import specify
from exporters.htdemucs.checkpoint import save_checkpoint
from exporters.htdemucs.family import load_htdemucs
from exporters.htdemucs.random_weights import SIZES, random_htdemucs
from exporters.parity import Step
from exporters.reference import Reference
from exporters.verification import measure, verify_model

Fault = Callable[[ModelProto], None]


def copy_of(exported: ModelFolder, root: Path) -> ModelFolder:
    folder = ModelFolder(root / "short")
    folder.model.parent.mkdir(parents=True)
    folder.model.write_bytes(exported.model.read_bytes())
    folder.write(exported.read_card(), threads=0)
    return folder


def edit(folder: ModelFolder, fault: Fault) -> None:
    model = onnx.load(str(folder.model))
    fault(model)
    onnx.save(model, str(folder.model))


def verify_in_shell(folder: ModelFolder, checkpoint: Path) -> int:
    where = ["--repository", str(folder.path.parent), "--checkpoint", str(checkpoint)]
    return main(["verify", "short", *where])


def scale_output(model: ModelProto, node: NodeProto, factor: float) -> None:
    """Slips a multiplication between a node and whoever reads its output."""
    place = list(model.graph.node).index(node)
    (output,) = node.output
    node.output[0] = f"{output}_before"
    factor_name = f"{output}_factor"
    model.graph.initializer.append(
        numpy_helper.from_array(np.array(factor, np.float32), factor_name)
    )
    scale = onnx.helper.make_node("Mul", [node.output[0], factor_name], [output])
    model.graph.node.insert(place + 1, scale)


def nodes(model: ModelProto, kind: str, scope: str) -> list[NodeProto]:
    return [node for node in model.graph.node if node.op_type == kind and scope in node.name]


def fault_in_attention(model: ModelProto) -> None:
    """One head layer's attention weights add up to 0.99."""
    scale_output(model, nodes(model, "Softmax", "layers.1")[0], 0.99)


def fault_in_a_skip(model: ModelProto) -> None:
    """The outermost frequency decoder takes its skip connection twice."""
    add = nodes(model, "Add", "/model/decoder.3/Add")[0]
    add.input[0] = add.input[1]


def fault_in_one_dft_constant(model: ModelProto) -> None:
    """One of 4096 twiddle factors of the analysis is wrong by 2 per cent of a turn's radius."""
    (table,) = (
        tensor
        for tensor in model.graph.initializer
        if tensor.name == "model.analysis.dft.twiddle_re"
    )
    values = numpy_helper.to_array(table).copy()
    values[5, 7] += 0.02
    table.CopyFrom(numpy_helper.from_array(values, table.name))


@pytest.mark.parametrize("fault", [fault_in_attention, fault_in_a_skip, fault_in_one_dft_constant])
def test_a_planted_fault_fails_and_the_card_says_so(
    exported: ModelFolder, checkpoint: Path, tmp_path: Path, fault: Fault
) -> None:
    folder = copy_of(exported, tmp_path)
    edit(folder, fault)
    assert verify_in_shell(folder, checkpoint) == 1
    card = folder.read_card()
    assert not card.parity_passed
    failed = {figure.step for figure in card.parity if not figure.passed}
    assert failed >= {Step.ENGINE}
    assert failed.isdisjoint({Step.GRAPH})


def test_a_good_export_passes_every_step_and_signal(
    exported: ModelFolder, checkpoint: Path, tmp_path: Path
) -> None:
    folder = copy_of(exported, tmp_path)
    assert verify_in_shell(folder, checkpoint) == 0
    card = folder.read_card()
    assert card.parity_passed
    assert card.files == {"1/model.onnx": file_sha256(folder.model)}
    measured = {(figure.step, figure.signal) for figure in card.parity}
    steady = {"music", "noise", "silence"}
    signals = steady | {"clicks", "lone click"}
    assert measured == (
        {(step, signal) for step in (Step.GRAPH, Step.ENGINE) for signal in signals}
        | {(Step.BATCH_2, signal) for signal in ("music", "noise")}
        | {(Step.BATCH_4, signal) for signal in steady | {"clicks"}}
    )


class Careless(nn.Module):
    """A model that rounds more than a floor allows, unless it computes in float64."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, mix: Tensor) -> Tensor:
        error = 0.0 if mix.dtype == torch.float64 else 3e-6
        return self.model(mix) * (1 + error)


def test_the_references_own_rounding_is_not_held_against_an_export(
    exported: ModelFolder, reference: Reference
) -> None:
    assert isinstance(reference.model, nn.Module)
    careless = dataclasses.replace(reference, model=Careless(reference.model))
    figures = measure(OnnxEngine(exported.model), specify(reference, name="short"), careless)
    judged = [figure for figure in figures if figure.step in (Step.GRAPH, Step.ENGINE)]
    assert judged
    assert all(figure.passed for figure in judged)


def test_verification_keeps_words_and_threads(
    exported: ModelFolder, reference: Reference, tmp_path: Path
) -> None:
    folder = copy_of(exported, tmp_path)
    spoken = dataclasses.replace(folder.read_card(), description="my words")
    folder.write(spoken, threads=3)
    assert verify_model(folder, name="short", reference=reference).description == "my words"
    assert folder.read_threads() == 3


def test_another_checkpoint_of_the_same_shape_fails(exported: ModelFolder, tmp_path: Path) -> None:
    folder = copy_of(exported, tmp_path)
    other = random_htdemucs(seed=9, **SIZES["tiny"] | {"segment": Fraction(6, 5)})
    save_checkpoint(other, tmp_path / "other.safetensors", provenance={})
    assert verify_in_shell(folder, tmp_path / "other.safetensors") == 1
    assert not folder.read_card().parity_passed


def rename_output(model: ModelProto) -> None:
    node = next(node for node in model.graph.node if "bass" in node.output)
    node.output[list(node.output).index("bass")] = "base"
    model.graph.output[1].name = "base"


def fix_batch(model: ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


def swap_outputs(model: ModelProto) -> None:
    first, second = model.graph.output[0].name, model.graph.output[1].name
    model.graph.output[0].name, model.graph.output[1].name = second, first


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [(rename_output, "outputs are"), (fix_batch, "inputs are"), (swap_outputs, "outputs are")],
)
def test_other_names_axes_or_order_fail_before_any_value(
    exported: ModelFolder, reference: Reference, tmp_path: Path, fault: Fault, complaint: str
) -> None:
    folder = copy_of(exported, tmp_path)
    folder.write(dataclasses.replace(folder.read_card(), parity=()), threads=0)
    edit(folder, fault)
    with pytest.raises(ParityError, match=complaint):
        verify_model(folder, name="short", reference=reference)
    assert not folder.read_card().parity_passed


def test_another_segment_fails(exported: ModelFolder, tmp_path: Path) -> None:
    other = random_htdemucs(seed=1, **SIZES["tiny"] | {"segment": Fraction(3, 2)})
    save_checkpoint(other, tmp_path / "other.safetensors", provenance={})
    reference = load_htdemucs(str(tmp_path / "other.safetensors"))
    with pytest.raises(ParityError, match="66150"):
        verify_model(copy_of(exported, tmp_path), name="short", reference=reference)


def test_an_export_from_the_shell_verifies(tmp_path: Path, checkpoint: Path) -> None:
    """export, then verify, with facts, as the README says."""
    facts = tmp_path / "facts.json"
    licences = {"code": "MIT", "weights": "MIT", "noncommercial": False}
    facts.write_text(json.dumps({"description": "told", "licences": licences}))
    where = ["--repository", str(tmp_path / "models"), "--checkpoint", str(checkpoint)]
    told = ["--facts", str(facts), "--profile", "cpu-batched", "--threads", "1"]
    assert main(["export", "htdemucs", "--name", "short", *told, *where]) == 0
    assert main(["verify", "short", *where]) == 0
    card = ModelFolder(tmp_path / "models" / "short").read_card()
    assert (card.description, card.profile, card.max_batch_size) == ("told", "cpu-batched", 8)
    assert card.parity_passed


def test_a_family_that_nobody_knows_is_told_the_known_ones(
    exported: ModelFolder, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copy_of(exported, tmp_path)
    folder.write(dataclasses.replace(folder.read_card(), family="open-unmix"), threads=0)
    assert verify_in_shell(folder, checkpoint) == 1
    assert "the family 'open-unmix' is none of htdemucs" in capsys.readouterr().err


def test_a_card_edited_by_hand_into_nonsense_says_so(
    exported: ModelFolder, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copy_of(exported, tmp_path)
    path = folder.path / "card.json"
    path.write_text(path.read_text().replace('"overlap": 0.25', '"overlap": 25'))
    assert verify_in_shell(folder, checkpoint) == 1
    assert "has no readable card: overlap must be in [0, 1)" in capsys.readouterr().err


def test_an_error_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    where = ["--repository", str(tmp_path), "--checkpoint", "absent.th"]
    assert main(["export", "htdemucs", "--name", "x", *where]) == 1
    assert capsys.readouterr().err == "error: no such checkpoint file: absent.th\n"


def test_a_random_checkpoint_can_be_exported(tmp_path: Path) -> None:
    path = tmp_path / "new" / "tiny.safetensors"
    assert main(["random-checkpoint", "--size", "tiny", "--output", str(path)]) == 0
    reference = load_htdemucs(str(path))
    assert reference.segment_samples == 343_980
    assert reference.facts.provenance["trained_on"] == "nothing: random weights"
