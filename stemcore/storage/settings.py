"""Which store is used, and how it is opened: the same for every service."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

from pydantic import model_validator

from stemcore.settings import SettingsSection
from stemcore.storage.filesystem import FilesystemStore
from stemcore.storage.minio import MinioStore, open_minio
from stemcore.storage.minio_settings import S3Settings


class StorageSettings(SettingsSection):
    """Where sources and results are kept: below the directory `root`, or in the bucket `s3`."""

    root: Path | None = None
    s3: S3Settings | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.root is None) == (self.s3 is None):
            raise ValueError("name either `root` or `s3`")
        return self


@asynccontextmanager
async def open_store(settings: StorageSettings) -> AsyncGenerator[FilesystemStore | MinioStore]:
    """The store; a store that is away is no reason not to start."""
    if settings.s3 is not None:
        async with open_minio(settings.s3) as store:
            yield store
    elif settings.root is not None:
        yield FilesystemStore(settings.root)
