"""What the stacks can be told: STEMYARD_STACK_..., nested by `__`."""

import sys
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from stemcore.settings import SettingsSection

ROOT = Path(__file__).resolve().parent.parent.parent


class KafkaServerSettings(SettingsSection):
    """`jars` are fetched by scripts/fetch-kafka."""

    java: str = "java"
    jars: Path = ROOT / ".tools" / "kafka" / "jars"
    heap_mb: int = Field(default=512, ge=128)
    port: int | None = Field(default=None, ge=1, le=65535)
    start_timeout_s: float = Field(default=60.0, gt=0)
    stop_grace_s: float = Field(default=15.0, gt=0)


class MinioServerSettings(SettingsSection):
    """`program` is built by scripts/build-minio."""

    program: Path = ROOT / ".tools" / "minio" / "minio"
    port: int | None = Field(default=None, ge=1, le=65535)
    start_timeout_s: float = Field(default=60.0, gt=0)


class StackSettings(BaseSettings):
    """`runtimes` holds one directory per stack. A port that is None is chosen among the free.

    A stack that is not `durable` trades the safety of its database against a power cut for speed.
    """

    model_config = SettingsConfigDict(
        env_prefix="STEMYARD_STACK_", env_nested_delimiter="__", frozen=True
    )

    runtimes: Path = ROOT / ".stack"
    repository: Path = ROOT / "model_repository"
    default_model: str = "stemyard-mini"
    models: tuple[str, ...] | None = None
    services_python: Path = Path(sys.executable)
    triton_python: Path = ROOT / ".envs" / "triton" / "bin" / "python"
    serving_module: str = "serving"
    gateways: int = Field(default=1, ge=1, le=16)
    orchestrators: int = Field(default=1, ge=1, le=16)
    gateway_host: str = "127.0.0.1"
    gateway_port: int | None = Field(default=None, ge=1, le=65535)
    demo_account: bool = False
    durable: bool = True
    triton_threads: int | None = Field(default=None, ge=1)
    slots: int = Field(default=2, ge=1)
    window: int = Field(default=2, ge=1)
    access_token_lifetime_s: int = Field(default=86_400, ge=60)
    # Jobs at hand are given back when it is over, and go on where they were at the next start.
    shutdown_grace_s: float = Field(default=1.0, ge=0)
    start_timeout_s: float = Field(default=60.0, gt=0)


class FullStackSettings(StackSettings):
    """The same with several of each service, over Kafka and MinIO."""

    gateways: int = Field(default=2, ge=1, le=16)
    orchestrators: int = Field(default=2, ge=1, le=16)
    kafka: KafkaServerSettings = KafkaServerSettings()
    minio: MinioServerSettings = MinioServerSettings()
