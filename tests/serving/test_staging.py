from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format

from serving import staging
from serving.inspection import VerifiedModel, new_config, verify
from serving.settings import ModelTuning, ServingSettings, usable_cores
from tests.serving.small_models import write_model


@pytest.fixture
def model(tmp_path: Path) -> VerifiedModel:
    return verify(write_model(tmp_path / "repository", "gains"))


@pytest.fixture
def staged(tmp_path: Path) -> Path:
    repository = tmp_path / "staged"
    staging.clear(repository)
    return repository


def stage(model: VerifiedModel, repository: Path, **changes: Any) -> VerifiedModel:
    tuning = ModelTuning(**changes)
    staging.stage(model, staged_repository=repository, tuning=tuning, warm_up=True)
    written = (repository / "gains" / "card.json").exists()
    assert not written, "the card travels in the config; nothing unlisted is staged"
    return model


def test_only_the_files_on_the_card_are_staged(model: VerifiedModel, staged: Path) -> None:
    (model.directory / "1" / "model.py").write_text("raise SystemExit")
    stage(model, staged)
    files = {str(path.relative_to(staged)) for path in staged.rglob("*") if path.is_file()}
    assert files == {"gains/config.pbtxt", "gains/1/model.onnx"}


def test_the_source_config_stays_as_it_was(model: VerifiedModel, staged: Path) -> None:
    before = (model.directory / "config.pbtxt").read_bytes()
    stage(model, staged, threads=3, instances=2)
    assert (model.directory / "config.pbtxt").read_bytes() == before


def test_threads_and_instances_reach_the_staged_config(model: VerifiedModel) -> None:
    tuning = ModelTuning(threads=3, instances=2)
    config = staging.tuned(model.config, tuning=tuning, warm_up=True)
    assert config.parameters["intra_op_thread_count"].string_value == "3"
    assert [group.count for group in config.instance_group] == [2]


def test_instances_are_set_where_the_config_names_no_group(model: VerifiedModel) -> None:
    del model.config.instance_group[:]
    config = staging.tuned(model.config, tuning=ModelTuning(instances=2), warm_up=True)
    assert [group.count for group in config.instance_group] == [2]


@pytest.mark.parametrize(("warm_up", "told"), [(True, "true"), (False, "false")])
def test_our_backend_warms_up_instead_of_the_server(
    model: VerifiedModel, warm_up: bool, told: str
) -> None:
    model.config.model_warmup.add(name="the exporter's", batch_size=1)
    config = staging.tuned(model.config, tuning=ModelTuning(), warm_up=warm_up)
    assert list(config.model_warmup) == []
    assert config.parameters[staging.WARM_UP_PARAMETER].string_value == told


@pytest.mark.parametrize(("warm_up", "samples"), [(True, 1), (False, 0)])
def test_a_gpus_backend_warms_up_itself(model: VerifiedModel, warm_up: bool, samples: int) -> None:
    model.config.instance_group[0].kind = model.config.instance_group[0].KIND_GPU
    model.config.model_warmup.add(name="the exporter's", batch_size=1)
    config = staging.tuned(model.config, tuning=ModelTuning(), warm_up=warm_up)
    assert len(config.model_warmup) == samples


def test_engines_are_kept_where_the_node_says(model: VerifiedModel, staged: Path) -> None:
    accelerator = model.config.optimization.execution_accelerators.gpu_execution_accelerator.add()
    accelerator.name = "tensorrt"
    accelerator.parameters["trt_engine_cache_path"] = "/elsewhere"
    cache = staged.parent / "engines"
    staging.stage(
        model,
        staged_repository=staged,
        tuning=ModelTuning(),
        warm_up=True,
        engine_cache=cache,
    )
    written = text_format.Parse((staged / "gains" / "config.pbtxt").read_text(), new_config())
    (accelerator,) = written.optimization.execution_accelerators.gpu_execution_accelerator
    assert accelerator.parameters["trt_engine_cache_path"] == str(cache)
    assert accelerator.parameters["trt_timing_cache_path"] == str(cache)
    assert cache.is_dir()


def test_a_models_own_tuning_wins_over_the_general_one() -> None:
    settings = ServingSettings(
        tuning=ModelTuning(threads=4, instances=2),
        tuning_by_model={"large": ModelTuning(threads=8)},
    )
    assert settings.tuning_of("large") == ModelTuning(threads=8, instances=2)
    assert settings.tuning_of("small") == ModelTuning(threads=4, instances=2)


def test_threads_default_to_a_share_of_the_cores(model: VerifiedModel) -> None:
    cores = usable_cores()
    wanted = [(1, cores), (cores, 1), (64, max(1, cores // 64))]
    for instances, threads in wanted:
        tuning = ModelTuning(instances=instances)
        config = staging.tuned(model.config, tuning=tuning, warm_up=True)
        assert config.parameters["intra_op_thread_count"].string_value == str(threads)


def test_instances_of_the_models_own_config_share_out_the_cores_too(model: VerifiedModel) -> None:
    model.config.instance_group[0].count = usable_cores()
    config = staging.tuned(model.config, tuning=ModelTuning(), warm_up=True)
    assert config.parameters["intra_op_thread_count"].string_value == "1"


@pytest.mark.parametrize(("backend", "threads"), [("onnxruntime", 3), ("tensorrt", None)])
def test_shares_are_told_as_staged(
    model: VerifiedModel, staged: Path, backend: str, threads: int | None
) -> None:
    model.config.backend = backend
    tuning = ModelTuning(threads=3, instances=2)
    shares = staging.stage(model, staged_repository=staged, tuning=tuning, warm_up=True)
    assert shares == staging.Shares(instances=2, threads=threads)
