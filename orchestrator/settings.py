"""Settings of the orchestrator, from the environment: STEMYARD_ORCHESTRATOR_*."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from orchestrator.submissions import SubmissionSettings
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
    """Where runs keep their PCM: 3 h of audio take up to 19 GB, four stems at once."""

    root: Path


class LeaseSettings(SettingsSection):
    """How long a claim is held without a sign of life, and how often a job is tried.

    While the object store, the scratch disk or the decoder is what fails, attempts are not counted
    until the job is `outage_patience_s` old.
    """

    length_s: float = Field(default=30.0, ge=1)
    max_claims: int = Field(default=3, ge=1)
    backoff_s: float = Field(default=2.0, ge=0)
    outage_backoff_s: float = Field(default=10.0, ge=0)
    outage_patience_s: float = Field(default=3600.0, ge=0)


class OrchestratorSettings(BaseSettings):
    """Everything, nested by concern."""

    model_config = SettingsConfigDict(
        env_prefix="STEMYARD_ORCHESTRATOR_",
        env_nested_delimiter="__",
        frozen=True,
        hide_input_in_errors=True,
    )

    database: DatabaseSettings
    storage: StorageSettings
    scratch: ScratchSettings
    triton: TritonSettings = TritonSettings()
    models: ModelPolicy = ModelPolicy()
    lease: LeaseSettings = LeaseSettings()
    limits: DecodeLimits = DecodeLimits()
    sandbox: SandboxSettings = SandboxSettings()
    kafka: KafkaSettings | None = None
    submissions: SubmissionSettings = SubmissionSettings()
    traces: TraceSettings = TraceSettings()
    metrics: MetricsSettings = MetricsSettings()
    slots: int = Field(default=2, ge=1, le=64)
    sweep_period_s: float = Field(default=5.0, gt=0)
    undispatched_after_s: float = Field(default=30.0, gt=0)
    doomed_for_s: float = Field(default=120.0, ge=0)
    inbox_kept_days: float = Field(default=60.0, gt=0)
    progress_every_s: float = Field(default=0.5, ge=0)
    model_patience_s: float = Field(default=60.0, ge=0)
    shutdown_grace_s: float = Field(default=10.0, ge=0)
    log_level: str = "INFO"

    @model_validator(mode="after")
    def _messages_are_remembered_while_they_can_be_read(self) -> Self:
        if self.kafka is None:
            return self
        topics = self.kafka.topics
        kept_days = max(topics.jobs.retention_hours, topics.submissions.retention_hours) / 24
        if self.inbox_kept_days <= kept_days:
            raise ValueError(f"inbox_kept_days must exceed what Kafka keeps, {kept_days:g} days")
        return self
