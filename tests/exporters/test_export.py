import dataclasses
import json
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from google.protobuf import text_format

from exporters.card_writer import ModelFolder, file_sha256
from exporters.errors import FactsError, ModelFolderError
from exporters.export import annotate_model, export_model
from exporters.profiles import PROFILES
from exporters.reference import Reference
from exporters.triton_config import configured_threads, parse_config, render_config
from stemcore.model_card import ModelCard

STEMS = ["drums", "bass", "other", "vocals"]
SAMPLES = 52_920


def config_of(folder: ModelFolder) -> Any:
    return parse_config((folder.path / "config.pbtxt").read_text())


def copy_of(exported: ModelFolder, root: Path) -> ModelFolder:
    folder = ModelFolder(root / "short")
    folder.model.parent.mkdir(parents=True)
    folder.model.write_bytes(exported.model.read_bytes())
    folder.write(exported.read_card(), threads=exported.read_threads())
    return folder


def test_an_export_is_three_files(exported: ModelFolder) -> None:
    files = {str(p.relative_to(exported.path)) for p in exported.path.rglob("*") if p.is_file()}
    assert files == {"config.pbtxt", "card.json", "1/model.onnx"}
    assert [p.name for p in exported.path.parent.iterdir()] == ["short"]


def test_the_graph_has_one_batch_axis_and_one_output_per_stem(exported: ModelFolder) -> None:
    graph = onnx.load(str(exported.model)).graph
    tensors = [*graph.input, *graph.output]
    assert [tensor.name for tensor in tensors] == ["mix", *STEMS]
    for tensor in tensors:
        batch, channels, samples = tensor.type.tensor_type.shape.dim
        assert tensor.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
        assert (batch.dim_param, channels.dim_value, samples.dim_value) == ("batch", 2, SAMPLES)


def test_the_card_knows_its_model_and_claims_nothing(
    exported: ModelFolder, reference: Reference, checkpoint: Path
) -> None:
    card = exported.read_card()
    assert card.files == {"1/model.onnx": file_sha256(exported.model)}
    assert not card.parity_passed
    assert card.segment_samples == SAMPLES
    assert [(s.stem, s.model, s.output) for s in card.stems] == [(s, "short", s) for s in STEMS]
    assert card.parameters == reference.parameters
    assert card.provenance["checkpoint_sha256"] == file_sha256(checkpoint)
    assert card.provenance["trained_on"] == "nothing: random weights"


def test_card_and_config_tell_the_same(exported: ModelFolder) -> None:
    config = config_of(exported)
    assert ModelCard.from_json(config.parameters["card"].string_value) == exported.read_card()
    assert config.name == "short"
    assert config.backend == "onnxruntime"
    assert config.default_model_filename == "model.onnx"
    assert [(i.name, list(i.dims)) for i in config.input] == [("mix", [2, SAMPLES])]
    assert [(o.name, list(o.dims)) for o in config.output] == [(s, [2, SAMPLES]) for s in STEMS]
    (warmup,) = config.model_warmup
    assert list(warmup.inputs["mix"].dims) == [2, SAMPLES]


@pytest.mark.parametrize(
    ("profile", "group", "batch", "delay_us"),
    [
        ("cpu", ("KIND_CPU", 2), 1, None),
        ("cpu-batched", ("KIND_CPU", 1), 8, 100_000),
        ("gpu-onnx", ("KIND_GPU", 1), 16, 5_000),
        ("gpu-tensorrt", ("KIND_GPU", 1), 16, 5_000),
        ("gpu-plan", ("KIND_GPU", 1), 16, 5_000),
    ],
)
def test_a_profile_is_config_only(
    exported: ModelFolder,
    profile: str,
    group: tuple[str, int],
    batch: int,
    delay_us: int | None,
) -> None:
    fields = json.loads(exported.read_card().to_json())
    batch_size = PROFILES[profile].max_batch_size
    card = ModelCard.from_json(
        json.dumps(fields | {"profile": profile, "max_batch_size": batch_size})
    )
    config = parse_config(render_config(card))
    (instances,) = config.instance_group
    assert (instances.Kind.Name(instances.kind), instances.count) == group
    assert config.max_batch_size == batch
    assert config.HasField("dynamic_batching") == (delay_us is not None)
    assert config.dynamic_batching.max_queue_delay_microseconds == (delay_us or 0)


def test_threads_are_a_parameter_of_the_backend(exported: ModelFolder) -> None:
    card = exported.read_card()
    assert "intra_op_thread_count" not in parse_config(render_config(card)).parameters
    config = parse_config(render_config(card, threads=2))
    assert config.parameters["intra_op_thread_count"].string_value == "2"
    assert configured_threads(config) == 2


def test_what_triton_would_not_understand_does_not_parse() -> None:
    with pytest.raises(text_format.ParseError):
        parse_config('name: "x" max_batch_sise: 1')


def test_the_same_checkpoint_gives_the_same_bytes(
    exported: ModelFolder, reference: Reference, tmp_path: Path
) -> None:
    again = export_model(reference, name="short", repository=tmp_path)
    assert again.model.read_bytes() == exported.model.read_bytes()


def test_a_failed_export_leaves_what_was_there(
    exported: ModelFolder, reference: Reference, tmp_path: Path
) -> None:
    folder = copy_of(exported, tmp_path)
    before = folder.model.read_bytes()

    class Broken(torch.nn.Module):
        def forward(self, _: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("broken")

    broken = dataclasses.replace(reference, graph=Broken())
    with pytest.raises(RuntimeError, match="broken"):
        export_model(broken, name="short", repository=tmp_path)
    assert folder.model.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["short"]


def test_facts_replace_words_and_keep_the_origin(
    exported: ModelFolder, tmp_path: Path, checkpoint: Path
) -> None:
    folder = copy_of(exported, tmp_path)
    facts = tmp_path / "facts.json"
    facts.write_text(
        json.dumps(
            {
                "description": "new words",
                "licences": {"code": "MIT", "weights": "CC0", "noncommercial": True},
                "provenance": {"trained_on": "songs"},
            }
        )
    )
    card = annotate_model(folder, facts=facts)
    assert (card.description, card.licences.noncommercial) == ("new words", True)
    assert card.provenance["trained_on"] == "songs"
    assert card.provenance["checkpoint_sha256"] == file_sha256(checkpoint)
    assert folder.read_card() == card
    assert ModelCard.from_json(config_of(folder).parameters["card"].string_value) == card


def evaluation(**changes: Any) -> str:
    scores = {"drums": 7.5, "bass": 6.0}
    document = {
        "songs": 2,
        "weights_sha256": "0" * 64,
        "medians_db": {"model": scores, "equaliser": {"drums": 4.0, "bass": 5.0}},
        "per_song_db": {"model": [scores, scores]},
    }
    return json.dumps(document | changes)


def test_evidence_of_these_weights_joins_the_card(
    exported: ModelFolder, tmp_path: Path, checkpoint: Path
) -> None:
    folder = copy_of(exported, tmp_path)
    recorded = tmp_path / "held_out.json"
    recorded.write_text(evaluation(weights_sha256=file_sha256(checkpoint)))
    sdr = annotate_model(folder, evidence=recorded).sdr
    assert sdr is not None
    assert (sdr.test_set, sdr.songs, sdr.median_db["drums"]) == ("held_out", 2, 7.5)
    assert sdr.yardsticks == {"equaliser": {"drums": 4.0, "bass": 5.0}}
    assert folder.read_card().sdr == sdr


@pytest.mark.parametrize(
    ("text", "complaint"),
    [(evaluation(), "judges weights"), ("{}", "no recorded evaluation"), ("[", "no recorded")],
)
def test_other_evidence_is_refused(
    exported: ModelFolder, tmp_path: Path, text: str, complaint: str
) -> None:
    folder = copy_of(exported, tmp_path)
    (tmp_path / "held_out.json").write_text(text)
    with pytest.raises(FactsError, match=complaint):
        annotate_model(folder, evidence=tmp_path / "held_out.json")
    assert folder.read_card().sdr is None


def test_a_folder_without_a_card_says_so(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match="no readable card"):
        ModelFolder(tmp_path).read_card()


def test_facts_are_as_strict_as_cards(exported: ModelFolder, tmp_path: Path) -> None:
    (tmp_path / "facts.json").write_text('{"description": "no licences"}')
    with pytest.raises(FactsError, match="lacks fields: licences"):
        annotate_model(copy_of(exported, tmp_path), facts=tmp_path / "facts.json")
