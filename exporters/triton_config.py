"""config.pbtxt from a card, which derives from the specification, by Triton's own schema."""

from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format, text_format
from tritonclient.grpc import model_config_pb2

from exporters.accelerators import accelerator_config, backend_parameters
from exporters.profiles import PROFILES
from exporters.specification import INPUT_NAME
from stemcore.model_card import CARD_PARAMETER, ModelCard

MODEL_FILE = "model.onnx"
PLAN_FILE = "model.plan"
THREADS_PARAMETER = "intra_op_thread_count"

_schema: Any = model_config_pb2  # generated at import, so unknown to type checkers


def render_config(card: ModelCard, *, threads: int = 0) -> str:
    """`threads` 0 leaves the backend's default, all cores."""
    if card.parts:
        return render_ensemble(card)
    profile = PROFILES[card.profile]
    tensor = {"data_type": "TYPE_FP32", "dims": [card.channels, card.segment_samples]}
    config: dict[str, Any] = {
        "name": card.name,
        "backend": profile.backend,
        "default_model_filename": PLAN_FILE if profile.backend == "tensorrt" else MODEL_FILE,
        "max_batch_size": card.max_batch_size,
        "input": [{"name": INPUT_NAME} | tensor],
        "output": [{"name": source.output} | _output(card) for source in card.stems],
        "instance_group": [{"kind": profile.device, "count": profile.instances}],
        "model_warmup": [_warm_up(batch, tensor) for batch in profile.warm_up_batches],
        "parameters": {
            name: {"string_value": text}
            for name, text in (
                backend_parameters(profile) | {CARD_PARAMETER: card.to_json()}
            ).items()
        },
    }
    if profile.accelerator is not None:
        config["optimization"] = accelerator_config(card, profile)
    if profile.batches:
        config["dynamic_batching"] = {"max_queue_delay_microseconds": profile.max_queue_delay_us}
    if threads:
        config["parameters"] |= _parameters({THREADS_PARAMETER: str(threads)})
    message = json_format.ParseDict(config, _schema.ModelConfig())
    return text_format.MessageToString(message, as_utf8=True)


def render_ensemble(card: ModelCard) -> str:
    """A bag as one model of its own: each stem by the part that gives it."""
    tensor = {"data_type": "TYPE_FP32", "dims": [card.channels, card.segment_samples]}
    config: dict[str, Any] = {
        "name": card.name,
        "platform": "ensemble",
        "max_batch_size": card.max_batch_size,
        "input": [{"name": INPUT_NAME} | tensor],
        "output": [{"name": stem} | _output(card) for stem in card.stem_names],
        "ensemble_scheduling": {"step": [_step(card, part) for part in card.parts]},
        "parameters": _parameters({CARD_PARAMETER: card.to_json()}),
    }
    message = json_format.ParseDict(config, _schema.ModelConfig())
    return text_format.MessageToString(message, as_utf8=True)


def _step(card: ModelCard, part: str) -> dict[str, Any]:
    given = {source.output: source.stem for source in card.stems if source.model == part}
    return {
        "model_name": part,
        "model_version": -1,
        "input_map": {INPUT_NAME: INPUT_NAME},
        "output_map": given,
    }


def _output(card: ModelCard) -> dict[str, Any]:
    data_type = f"TYPE_{card.output_precision.upper()}"
    return {"data_type": data_type, "dims": [card.channels, card.segment_samples]}


def _warm_up(batch: int, tensor: dict[str, Any]) -> dict[str, Any]:
    """Each batch size is met before the first request: new ones cost a GPU most of all."""
    return {
        "name": f"batch of {batch}",
        "batch_size": batch,
        "inputs": {INPUT_NAME: tensor | {"zero_data": True}},
    }


def _parameters(texts: Mapping[str, str]) -> dict[str, Any]:
    return {name: {"string_value": text} for name, text in texts.items()}


def parse_config(text: str) -> Any:
    """A ModelConfig message; raises text_format.ParseError on what Triton would refuse."""
    return text_format.Parse(text, _schema.ModelConfig())


def configured_threads(config: Any) -> int:
    parameters = config.parameters
    return int(parameters[THREADS_PARAMETER].string_value) if THREADS_PARAMETER in parameters else 0
