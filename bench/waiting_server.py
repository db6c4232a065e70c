"""Triton with models that wait: an engine whose speed has nothing to do with this machine's.

It is told what `python -m serving` is told. serving itself refuses models that are code, as these
are, so they are shown to the server as they lie.
"""

import hashlib
import os
from pathlib import Path
from typing import Any, Literal, NoReturn

from google.protobuf import json_format, text_format
from tritonclient.grpc import model_config_pb2

from serving import command_line, inspection, shared_memory
from serving.launcher import renew_admin_secret
from serving.settings import ServingSettings
from serving.wheel import Wheel, assemble_backends
from stemcore.model_card import CARD_PARAMETER, Licences, ModelCard, ParityFigure, StemSource

MODEL = "waiting"
STEMS = ("drums", "bass", "other", "vocals")
SEGMENT_SAMPLES = 343_980
ENGINE = Path(__file__).parent / "waiting_engine" / "model.py"

_schema: Any = model_config_pb2  # generated at import


def write_model(
    repository: Path,
    *,
    delay_s: float,
    instances: int,
    name: str = MODEL,
    output_type: Literal["FP32", "FP16"] = "FP32",
) -> ModelCard:
    """The model with its card; `instances` requests wait side by side."""
    card = _card(name)
    dims = [card.channels, card.segment_samples]
    config = {
        "name": name,
        "backend": "python",
        "max_batch_size": 1,
        "input": [{"name": "mix", "data_type": "TYPE_FP32", "dims": dims}],
        "output": [
            {"name": stem, "data_type": f"TYPE_{output_type}", "dims": dims} for stem in STEMS
        ],
        "instance_group": [{"kind": "KIND_CPU", "count": instances}],
        "parameters": {
            CARD_PARAMETER: {"string_value": card.to_json()},
            "delay_s": {"string_value": str(delay_s)},
        },
    }
    folder = repository / name
    (folder / "1").mkdir(parents=True)
    (folder / "1" / "model.py").write_bytes(ENGINE.read_bytes())
    message = json_format.ParseDict(config, _schema.ModelConfig())
    (folder / "config.pbtxt").write_text(text_format.MessageToString(message, as_utf8=True))
    return card


def _card(name: str) -> ModelCard:
    any_signal = ParityFigure(
        step="definition",
        signal="any",
        worst_stem=STEMS[0],
        passed=True,
        snr_db=200.0,
        required_db=100.0,
    )
    return ModelCard(
        name=name,
        description="Waits, and gives back the mix.",
        family="bench",
        stems=tuple(StemSource(stem=stem, model=name, output=stem) for stem in STEMS),
        sample_rate=44_100,
        segment_samples=SEGMENT_SAMPLES,
        parameters=0,
        files={"1/model.py": hashlib.sha256(ENGINE.read_bytes()).hexdigest()},
        parity=(any_signal,),
        licences=Licences(code="MIT", weights="none", noncommercial=False),
        demonstration=True,
    )


def main() -> NoReturn:
    """Replaces this process by the server."""
    settings, wheel = ServingSettings(), Wheel.find()
    settings.runtime.mkdir(parents=True, exist_ok=True, mode=0o700)
    arguments = command_line.arguments(
        settings,
        models=inspection.model_names(settings.repository),
        repository=settings.repository,
        backends=assemble_backends(wheel, directory=settings.runtime / "backends"),
        admin_secret=renew_admin_secret(settings),
        region_prefix=shared_memory.region_prefix(os.getpid()),
    )
    environment = command_line.environment(settings, wheel=wheel)
    os.execve(wheel.server, [str(wheel.server), *arguments], environment)  # noqa: S606


if __name__ == "__main__":
    main()
