"""What a GPU profile tells Triton's onnxruntime backend of its execution providers.

Keys and their meaning: src/onnxruntime.cc of triton-inference-server/onnxruntime_backend, branches
r26.04 to r26.06 (3f1920b, 7db2634 and bb4926b agree). The backend refuses a model that has any
other key in the tensorrt accelerator; it hands those of cuda on to ONNX Runtime.
"""

from collections.abc import Mapping
from typing import Any

from exporters.profiles import ServingProfile
from exporters.specification import INPUT_NAME
from stemcore.model_card import ModelCard

# Where a node keeps what TensorRT built for its own GPU; serving may name another place.
ENGINE_CACHE = "/var/cache/stemyard/tensorrt"
WORKSPACE_BYTES = 16 << 30
_HEURISTIC = "1"

TENSORRT_KEYS = frozenset(
    {
        "int8_calibration_table_name",
        "int8_use_native_calibration_table",
        "max_workspace_size_bytes",
        "precision_mode",
        "trt_auxiliary_streams",
        "trt_build_heuristics_enable",
        "trt_builder_optimization_level",
        "trt_context_memory_sharing_enable",
        "trt_cuda_graph_enable",
        "trt_detailed_build_log",
        "trt_dla_core",
        "trt_dla_enable",
        "trt_dump_ep_context_model",
        "trt_dump_subgraphs",
        "trt_engine_cache_enable",
        "trt_engine_cache_path",
        "trt_engine_cache_prefix",
        "trt_ep_context_embed_mode",
        "trt_ep_context_file_path",
        "trt_extra_plugin_lib_paths",
        "trt_force_sequential_engine_build",
        "trt_force_timing_cache",
        "trt_layer_norm_fp32_fallback",
        "trt_max_partition_iterations",
        "trt_min_subgraph_size",
        "trt_profile_max_shapes",
        "trt_profile_min_shapes",
        "trt_profile_opt_shapes",
        "trt_sparsity_enable",
        "trt_tactic_sources",
        "trt_timing_cache_enable",
        "trt_timing_cache_path",
    }
)
# ONNX Runtime's names for its CUDA provider, as far as we use them.
CUDA_KEYS = frozenset({"use_ep_level_unified_stream", "use_tf32"})
# Read from the model's own parameters. With any such parameter there, the card for one, the first
# four overwrite what the cuda accelerator says, by their defaults where they are absent.
PARAMETER_KEYS = frozenset(
    {
        "arena_extend_strategy",
        "cudnn_conv_algo_search",
        "do_copy_in_default_stream",
        "gpu_mem_limit",
        "enable_mem_arena",
        "enable_mem_pattern",
        "execution_mode",
        "inter_op_thread_count",
        "intra_op_thread_count",
        "memory.enable_memory_arena_shrinkage",
        "session.use_device_allocator_for_initializers",
    }
)


def accelerator_config(card: ModelCard, profile: ServingProfile) -> dict[str, Any]:
    """The `optimization` of a ModelConfig."""
    parameters = {"cuda": _cuda, "tensorrt": _tensorrt}[profile.accelerator or "cuda"]
    accelerator = {"name": profile.accelerator, "parameters": parameters(card, profile)}
    return {"execution_accelerators": {"gpu_execution_accelerator": [accelerator]}}


def backend_parameters(profile: ServingProfile) -> dict[str, str]:
    """Model parameters of a GPU profile.

    The default, an exhaustive search, would begin anew at each batch size not yet met.
    """
    return {} if profile.accelerator is None else {"cudnn_conv_algo_search": _HEURISTIC}


def _cuda(_card: ModelCard, _profile: ServingProfile) -> Mapping[str, str]:
    return {"use_tf32": "1"}


def _tensorrt(card: ModelCard, profile: ServingProfile) -> Mapping[str, str]:
    """Precision is the graph's own: with a precision_mode TensorRT would choose for itself.

    The prefix holds the model's digest, because ONNX Runtime names a cached engine by the graph's
    names alone: two models of one architecture would share one, and one of them answer with the
    other's weights.
    """
    return {
        "max_workspace_size_bytes": str(WORKSPACE_BYTES),
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": ENGINE_CACHE,
        "trt_engine_cache_prefix": f"{card.name}-{card.digest[:16]}",
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": ENGINE_CACHE,
        "trt_profile_min_shapes": _shape(card, batch=1),
        "trt_profile_opt_shapes": _shape(card, batch=profile.usual_batch_size),
        "trt_profile_max_shapes": _shape(card, batch=profile.max_batch_size),
    }


def _shape(card: ModelCard, *, batch: int) -> str:
    return f"{INPUT_NAME}:{batch}x{card.channels}x{card.segment_samples}"
