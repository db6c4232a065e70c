"""The GPU profiles' configs: Triton's schema takes any string map, so keys are held to a list."""

import dataclasses
from typing import Any

import pytest

from exporters.accelerators import CUDA_KEYS, ENGINE_CACHE, PARAMETER_KEYS, TENSORRT_KEYS
from exporters.profiles import GPU_BATCHES, PROFILES
from exporters.triton_config import THREADS_PARAMETER, parse_config, render_config
from stemcore.model_card import CARD_PARAMETER, Licences, ModelCard, Profile, StemSource

SAMPLES = 343_980
GPU_PROFILES = [name for name, profile in PROFILES.items() if profile.device == "KIND_GPU"]


def card_of(profile: Profile, **changes: Any) -> ModelCard:
    card = ModelCard(
        name="htdemucs",
        description="a test",
        family="test",
        stems=(StemSource(stem="vocals", model="htdemucs", output="vocals"),),
        sample_rate=44_100,
        segment_samples=SAMPLES,
        profile=profile,
        max_batch_size=PROFILES[profile].max_batch_size,
        parameters=1,
        files={"1/model.onnx": "a" * 64},
        licences=Licences(code="MIT", weights="none", noncommercial=False),
    )
    return dataclasses.replace(card, **changes)


def config_of(card: ModelCard) -> Any:
    return parse_config(render_config(card))


def accelerator_of(card: ModelCard) -> Any:
    (accelerator,) = config_of(card).optimization.execution_accelerators.gpu_execution_accelerator
    return accelerator


@pytest.mark.parametrize("profile", GPU_PROFILES)
def test_every_key_is_one_that_the_backend_reads(profile: Profile) -> None:
    config = config_of(card_of(profile))
    accelerators = config.optimization.execution_accelerators.gpu_execution_accelerator
    known = {"tensorrt": TENSORRT_KEYS, "cuda": CUDA_KEYS}
    for accelerator in accelerators:
        assert set(accelerator.parameters) <= known[accelerator.name]
        assert all(accelerator.parameters.values())
    assert set(config.parameters) <= PARAMETER_KEYS | {CARD_PARAMETER, THREADS_PARAMETER}


def test_the_list_of_keys_is_whole() -> None:
    """As many as `param_key ==` in the backend's source: r26.04, r26.05 and r26.06 have 34 names,
    of which two belong to its cuda accelerator."""
    assert len(TENSORRT_KEYS) == 32


def test_tensorrt_gets_shapes_for_batches_of_1_to_16() -> None:
    parameters = accelerator_of(card_of("gpu-tensorrt")).parameters
    shapes = [parameters[f"trt_profile_{bound}_shapes"] for bound in ("min", "opt", "max")]
    assert shapes == [f"mix:{batch}x2x{SAMPLES}" for batch in (1, 8, 16)]


def test_tensorrt_keeps_engines_and_timings_on_the_node() -> None:
    parameters = accelerator_of(card_of("gpu-tensorrt")).parameters
    assert parameters["trt_engine_cache_enable"] == parameters["trt_timing_cache_enable"] == "1"
    assert parameters["trt_engine_cache_path"] == parameters["trt_timing_cache_path"]
    assert parameters["trt_engine_cache_path"] == ENGINE_CACHE


def test_no_precision_is_asked_of_tensorrt() -> None:
    assert "precision_mode" not in accelerator_of(card_of("gpu-tensorrt")).parameters


def test_two_sets_of_weights_never_share_a_cached_engine() -> None:
    one, other = (
        accelerator_of(card_of("gpu-tensorrt", files={"1/model.onnx": digit * 64}))
        for digit in "ab"
    )
    assert one.parameters["trt_engine_cache_prefix"] != other.parameters["trt_engine_cache_prefix"]


def test_a_plan_has_no_accelerator_and_a_file_of_its_own() -> None:
    config = config_of(card_of("gpu-plan"))
    assert (config.backend, config.default_model_filename) == ("tensorrt", "model.plan")
    assert not config.HasField("optimization")


@pytest.mark.parametrize("profile", GPU_PROFILES)
def test_each_batch_size_is_warmed_up(profile: Profile) -> None:
    samples = config_of(card_of(profile)).model_warmup
    assert [sample.batch_size for sample in samples] == list(GPU_BATCHES)
    assert all(list(sample.inputs["mix"].dims) == [2, SAMPLES] for sample in samples)
    assert len({sample.name for sample in samples}) == len(GPU_BATCHES)


def test_cudnn_searches_by_heuristic_where_the_backend_reads_it() -> None:
    for profile in ("gpu-onnx", "gpu-tensorrt"):
        parameters = config_of(card_of(profile)).parameters
        assert parameters["cudnn_conv_algo_search"].string_value == "1"
    assert "cudnn_conv_algo_search" not in config_of(card_of("cpu")).parameters
