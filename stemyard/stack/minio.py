"""MinIO: an S3 object store on loopback, with credentials of its own."""

import os
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from stemcore.storage.minio import open_minio
from stemcore.storage.minio_settings import S3Settings
from stemcore.storage.port import ObjectStore
from stemyard.stack import http_probe
from stemyard.stack.errors import EnvironmentLacks
from stemyard.stack.ports import HOST, FreePorts
from stemyard.stack.process import ProcessPlan
from stemyard.stack.settings import MinioServerSettings

BUCKET = "stemyard"
CREDENTIALS_FILE = "credentials"

_OPTIONS = {"MINIO_BROWSER": "off", "MINIO_UPDATE": "off"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Of the one user there is."""

    access_key: str
    secret_key: str = field(repr=False)

    @classmethod
    def kept_in(cls, path: Path) -> "Credentials":
        """Made when the file is not there, for its owner's eyes alone."""
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(f"stemyard-{secrets.token_hex(4)} {secrets.token_urlsafe(30)}\n")
        access_key, secret_key = path.read_text().split()
        return cls(access_key=access_key, secret_key=secret_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """`folder` holds public.crt and private.key, as MinIO wants them; `authority` signed them."""

    folder: Path
    authority: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class MinioServer:
    """Where the store listens, who may use it, and where it keeps everything."""

    folder: Path
    port: int
    credentials: Credentials
    bucket: str = BUCKET
    tls: TlsFiles | None = None

    @classmethod
    def choose(cls, folder: Path, settings: MinioServerSettings, ports: FreePorts) -> "MinioServer":
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (port,) = ports.take(1)
        return cls(
            folder=folder,
            port=settings.port or port,
            credentials=Credentials.kept_in(folder / CREDENTIALS_FILE),
        )

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def credentials_file(self) -> Path:
        """Access key and secret key, in one line."""
        return self.folder / CREDENTIALS_FILE

    @property
    def endpoint(self) -> str:
        """With its scheme, without a path."""
        return f"{'http' if self.tls is None else 'https'}://{HOST}:{self.port}"

    async def is_ready(self) -> bool:
        authority = None if self.tls is None else self.tls.authority
        return await http_probe.is_well(f"{self.endpoint}/minio/health/ready", authority=authority)


@asynccontextmanager
async def open_bucket(server: MinioServer) -> AsyncGenerator[ObjectStore]:
    """The services' bucket, reached as they reach it."""
    settings = S3Settings(
        endpoint=server.endpoint,
        bucket=server.bucket,
        access_key=SecretStr(server.credentials.access_key),
        secret_key=SecretStr(server.credentials.secret_key),
    )
    async with open_minio(settings) as store:
        yield store


def plan(server: MinioServer, *, log: Path, settings: MinioServerSettings) -> ProcessPlan:
    """The server in the foreground. Raises EnvironmentLacks when it has not been built."""
    if not os.access(settings.program, os.X_OK):
        raise EnvironmentLacks(f"{settings.program} is missing: make servers")
    server.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    address = f"--address={HOST}:{server.port}"
    identity = () if server.tls is None else (f"--certs-dir={server.tls.folder}",)
    return ProcessPlan(
        name="minio",
        command=(str(settings.program), "server", address, *identity, str(server.data)),
        log=log,
        working_directory=server.folder,
        environment=os.environ
        | _OPTIONS
        | {
            "MINIO_ROOT_USER": server.credentials.access_key,
            "MINIO_ROOT_PASSWORD": server.credentials.secret_key,
        },
        probe=server.is_ready,
        start_timeout_s=settings.start_timeout_s,
    )
