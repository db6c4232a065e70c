"""Settings of the inference server, from the environment: STEMYARD_SERVING_..., nested by `__`."""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from stemcore.settings import SettingsSection

ROOT = Path(__file__).resolve().parent.parent

Port = Annotated[int, Field(ge=1, le=65535)]
Threads = Annotated[int, Field(ge=1, le=1024)]
Instances = Annotated[int, Field(ge=1, le=64)]
EngineChoice = Literal["openvino-bf16", "openvino-fp32", "onnxruntime-fp32"]


class Ports(SettingsSection):
    http: Port = 8000
    grpc: Port = 8001
    metrics: Port = 8002


class ModelTuning(SettingsSection):
    """How much of the machine one model gets; what is None stays as its config.pbtxt has it.

    `threads` are intra-op threads of each instance; by default the instances share out the cores.
    Without an `engine` it is the fastest that the model's card has evidence for and this machine
    can run.
    """

    threads: Threads | None = None
    instances: Instances | None = None
    engine: EngineChoice | None = None


class ServingSettings(BaseSettings):
    """Everything the launcher needs; `runtime` is written, `repository` only read.

    Clients that hold `shared_memory_secret` may share memory with the server.
    `engine_cache` is where TensorRT keeps what it builds for this node's GPU, in place of the
    folder that a model's config names.
    `trace_endpoint` takes the server's own spans by OTLP over HTTP, of requests that carry a trace.
    """

    model_config = SettingsConfigDict(
        env_prefix="STEMYARD_SERVING_", env_nested_delimiter="__", frozen=True
    )

    repository: Path = ROOT / "model_repository"
    runtime: Path = ROOT / ".cache" / "serving"
    models: tuple[str, ...] | None = None
    host: str = "127.0.0.1"
    ports: Ports = Ports()
    admin_secret: SecretStr | None = None
    shared_memory_secret: SecretStr | None = None
    tuning: ModelTuning = ModelTuning()
    tuning_by_model: dict[str, ModelTuning] = Field(default_factory=dict[str, ModelTuning])
    warm_up: bool = True
    engine_cache: Path | None = None
    allocator: Literal["default", "raised"] = "default"
    exit_timeout_s: int = Field(default=10, ge=0)
    log_verbose: int = Field(default=0, ge=0)
    trace_endpoint: Annotated[str, Field(pattern=r"^https?://")] | None = None

    def tuning_of(self, model: str) -> ModelTuning:
        """The model's own tuning over the general one."""
        own = self.tuning_by_model.get(model, ModelTuning())
        return ModelTuning(
            threads=own.threads or self.tuning.threads,
            instances=own.instances or self.tuning.instances,
            engine=own.engine or self.tuning.engine,
        )


def usable_cores() -> int:
    """Cores this process may run on: a container's cpuset can leave fewer than there are."""
    return len(os.sched_getaffinity(0))
