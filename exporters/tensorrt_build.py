"""Builds an engine from an ONNX graph with whatever TensorRT this interpreter has.

`python3 -m exporters.tensorrt_build model.onnx --plan model.plan --facts facts.json` runs in
NVIDIA's container, so it takes nothing but TensorRT's own Python module and the standard library.
"""

import argparse
import importlib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stemcore.gpus import (
    BUILT_BY_TENSORRT,
    BUILT_FOR_CAPABILITY,
    BUILT_FOR_GPU,
    visible_gpus,
)

# TensorRT proper first: TensorRT-RTX has the same interface and builds without a GPU.
MODULES = ("tensorrt", "tensorrt_rtx")
# Full-size HTDemucs in fp32 asks for 8.8 GB at a batch of 16, most of it attention scores.
WORKSPACE_BYTES = 16 << 30


class BuildError(Exception):
    """TensorRT did not take the graph; the text is its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batches:
    """Sizes that an engine takes, and the one its kernels are chosen for."""

    smallest: int = 1
    usual: int = 8
    largest: int = 16


def find_tensorrt() -> Any:
    """Raises BuildError."""
    for name in MODULES:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise BuildError(f"none of {', '.join(MODULES)} is installed: run this in NVIDIA's container")


def build_engine(
    trt: Any, graph: Path, *, batches: Batches, timing_cache: Path | None = None
) -> bytes:
    """A serialised engine, in the precision that the graph has. Raises BuildError.

    `timing_cache` is read where it exists and written again.
    """
    builder = trt.Builder(_logger(trt))
    network = parse(trt, builder, graph)
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, WORKSPACE_BYTES)
    config.add_optimization_profile(_profile(builder, network, batches))
    timings = _open_timings(config, timing_cache)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise BuildError(f"TensorRT built no engine of {graph}: see what it printed")
    if timing_cache is not None and timings is not None:
        timing_cache.write_bytes(bytes(timings.serialize()))
    return bytes(engine)


def facts(trt: Any) -> Mapping[str, str]:
    """For a card's provenance: where the engine may run. Engines are built for the first GPU."""
    name = trt.__name__.replace("_rtx", "-rtx")
    gpus = visible_gpus()
    built_for = {
        BUILT_FOR_GPU: gpus[0].name if gpus else "none",
        BUILT_FOR_CAPABILITY: gpus[0].compute_capability if gpus else "none",
    }
    prefix = "" if name == BUILT_BY_TENSORRT else f"{name} "
    return built_for | {BUILT_BY_TENSORRT: prefix + trt.__version__}


def _logger(trt: Any) -> Any:
    return trt.Logger(trt.Logger.ERROR)


def parse(trt: Any, builder: Any, graph: Path) -> Any:
    """Strongly typed; from TensorRT 11 on no network is anything else, and the flag may be gone."""
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(0 if flag is None else 1 << int(flag))
    parser = trt.OnnxParser(network, _logger(trt))
    if not parser.parse_from_file(str(graph)):
        errors = [str(parser.get_error(place)) for place in range(parser.num_errors)]
        raise BuildError(f"{graph}: " + "; ".join(errors))
    return network


def _profile(builder: Any, network: Any, batches: Batches) -> Any:
    profile = builder.create_optimization_profile()
    for place in range(network.num_inputs):
        tensor = network.get_input(place)
        _, *inner = tensor.shape
        sizes = (batches.smallest, batches.usual, batches.largest)
        profile.set_shape(tensor.name, *((size, *inner) for size in sizes))
    return profile


def _open_timings(config: Any, path: Path | None) -> Any:
    if path is None:
        return None
    known = path.read_bytes() if path.exists() else b""
    timings = config.create_timing_cache(known)
    config.set_timing_cache(timings, ignore_mismatch=False)
    return timings


def main() -> int:
    options = _parser().parse_args()
    try:
        trt = find_tensorrt()
        engine = build_engine(
            trt,
            options.graph,
            batches=Batches(usual=options.usual_batch, largest=options.largest_batch),
            timing_cache=options.timing_cache,
        )
    except BuildError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    options.plan.write_bytes(engine)
    options.facts.write_text(json.dumps(facts(trt)))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m exporters.tensorrt_build")
    parser.add_argument("graph", type=Path)
    parser.add_argument("--plan", type=Path, required=True, help="the engine, to be written")
    parser.add_argument("--facts", type=Path, required=True, help="JSON, to be written")
    parser.add_argument("--timing-cache", type=Path)
    parser.add_argument("--usual-batch", type=int, default=Batches().usual)
    parser.add_argument("--largest-batch", type=int, default=Batches().largest)
    return parser


if __name__ == "__main__":
    sys.exit(main())
