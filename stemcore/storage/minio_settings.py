"""How an S3 store is reached."""

from typing import Annotated, Literal

from pydantic import Field, FilePath, SecretStr

from stemcore.settings import SettingsSection

Endpoint = Annotated[str, Field(pattern=r"^https?://[^/?#@\s]+$")]


class LifecycleSettings(SettingsSection):
    """What the store removes by itself; without `manage` the bucket's rules are left alone."""

    manage: bool = True
    incomplete_uploads_days: int = Field(default=1, ge=1)
    temporary_prefixes: tuple[str, ...] = ("temporary/",)
    temporary_days: int = Field(default=1, ge=1)


class S3Settings(SettingsSection):
    """One bucket of MinIO or of any other S3, and how patiently it is asked.

    `public_endpoint` is the store's address as clients see it, for presigned addresses. Timeouts
    are those of one attempt; sending counts block by block.
    """

    endpoint: Endpoint
    public_endpoint: Endpoint | None = None
    bucket: str = Field(default="stemyard", pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")
    create_bucket: bool = True
    access_key: SecretStr
    secret_key: SecretStr
    session_token: SecretStr | None = None
    region: str = Field(default="us-east-1", min_length=1)
    addressing: Literal["path", "virtual"] = "path"
    ca_file: FilePath | None = None
    connect_timeout_s: float = Field(default=3.0, gt=0)
    read_timeout_s: float = Field(default=10.0, gt=0)
    retries: int = Field(default=2, ge=0, le=10)
    connections: int = Field(default=16, ge=1, le=256)
    part_bytes: int = Field(default=8 << 20, ge=5 << 20, le=256 << 20)
    lifecycle: LifecycleSettings = LifecycleSettings()
