"""Buckets of a shared MinIO server, one for each test, and a look behind the S3 API."""

from pathlib import Path
from typing import Any
from uuid import uuid4

from minio import Minio
from pydantic import SecretStr

from stemcore.storage.settings import S3Settings
from tests.servers.minio import RunningMinio


def bucket_of(server: RunningMinio, **settings: Any) -> S3Settings:
    """A bucket of its own, made at the first call."""
    chosen: dict[str, Any] = {
        "endpoint": server.endpoint,
        "bucket": f"test-{uuid4()}",
        "access_key": SecretStr(server.credentials.access_key),
        "secret_key": SecretStr(server.credentials.secret_key),
        "ca_file": server.authority,
    }
    return S3Settings(**(chosen | settings))


def plain_client(server: RunningMinio) -> Minio:
    """The SDK as it comes, for what an ObjectStore does not do."""
    return Minio(
        server.endpoint.partition("://")[2],
        access_key=server.credentials.access_key,
        secret_key=server.credentials.secret_key,
        secure=False,
    )


def incomplete_uploads(server: RunningMinio) -> set[Path]:
    """The server's folders of uploads that were neither completed nor aborted, in any bucket.

    MinIO lists them only to who knows their keys.
    """
    return set((server.server.data / ".minio.sys" / "multipart").glob("*/*"))
