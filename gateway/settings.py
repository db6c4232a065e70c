"""What the gateway can be told, by environment variables such as STEMYARD_GATEWAY_HTTP__PORT."""

import tempfile
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from stemcore.audio_decoder import DecodeLimits, SandboxSettings
from stemcore.bus.kafka.settings import KafkaSettings
from stemcore.catalogue.policy import ModelPolicy
from stemcore.catalogue.triton import TritonSettings
from stemcore.database.pool import DatabaseSettings
from stemcore.settings import SettingsSection
from stemcore.storage.settings import StorageSettings
from stemcore.telemetry.metrics_door import MetricsSettings
from stemcore.telemetry.traces import TraceSettings


class ScratchSettings(SettingsSection):
    """Where a source lies while it is looked into, if the store is elsewhere: two files at most
    as large as `limits.upload_bytes`, for as many probes as run at a time. The machine's folder
    for temporary files unless another is named."""

    root: Path = Field(default_factory=lambda: Path(tempfile.gettempdir()))


class DownloadSettings(SettingsSection):
    """How results leave: through the gateway, or straight from an S3 store by a presigned address
    that holds for `lifetime_s`."""

    presigned: bool = False
    lifetime_s: int = Field(default=300, ge=1, le=7 * 86_400)


class HttpSettings(SettingsSection):
    """Where the door is, and how it closes. An upload is given up when the next 64 KiB of it take
    longer than `upload_stall_timeout_s`."""

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    upload_stall_timeout_s: float = Field(default=60.0, gt=0)
    shutdown_grace_s: int = Field(default=5, ge=1, le=600)
    cors_origins: tuple[str, ...] = ()


class AuthSettings(SettingsSection):
    """How access tokens are signed and how long they hold."""

    secret: SecretStr = Field(min_length=32)
    issuer: str = "stemyard"
    audience: str = "stemyard-api"
    access_token_lifetime_s: int = Field(default=900, ge=60, le=7 * 86_400)


class LimitSettings(SettingsSection):
    """What one account may ask for."""

    upload_bytes: int = Field(default=1 << 30, gt=0)
    duration_s: float = Field(default=3 * 3600.0, gt=0)
    probe_timeout_s: float = Field(default=4.0, gt=0)
    concurrent_probes: int = Field(default=2, ge=1, le=64)
    live_jobs: int = Field(default=10, ge=1)

    def decode_limits(self) -> DecodeLimits:
        """The decoder's share of these limits."""
        return DecodeLimits(
            max_bytes=self.upload_bytes,
            max_duration_s=self.duration_s,
            probe_timeout_s=self.probe_timeout_s,
        )


class GatewaySettings(BaseSettings):
    """Everything the gateway's composition root needs.

    `default_model` is for submissions that name none. `demo_account` creates test@example.com with
    the password password123: never where strangers can reach it.
    """

    model_config = SettingsConfigDict(
        env_prefix="STEMYARD_GATEWAY_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    database: DatabaseSettings
    storage: StorageSettings
    auth: AuthSettings
    triton: TritonSettings = TritonSettings()
    models: ModelPolicy = ModelPolicy()
    http: HttpSettings = HttpSettings()
    limits: LimitSettings = LimitSettings()
    kafka: KafkaSettings | None = None
    sandbox: SandboxSettings = SandboxSettings()
    scratch: ScratchSettings = ScratchSettings()
    downloads: DownloadSettings = DownloadSettings()
    traces: TraceSettings = TraceSettings()
    metrics: MetricsSettings = MetricsSettings()
    default_model: str = "stemyard-mini"
    demo_account: bool = False
    log_level: str = "INFO"

    @model_validator(mode="after")
    def _presigned_by_a_store_that_can(self) -> Self:
        if self.downloads.presigned and self.storage.s3 is None:
            raise ValueError("presigned downloads need an S3 store")
        return self
