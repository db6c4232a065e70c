"""A real MinIO server for tests, by the stack's own plan."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from stemyard.stack import minio
from stemyard.stack.minio import Credentials, MinioServer, TlsFiles
from stemyard.stack.ports import FreePorts
from stemyard.stack.settings import MinioServerSettings
from tests.servers.certificates import Authority
from tests.servers.process import ServerProcess, running


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningMinio:
    """`endpoint` has its scheme; no bucket is there yet.

    Of a TLS server, `authority` is the PEM file of who signed its certificate.
    """

    server: MinioServer
    process: ServerProcess
    authority: Path | None

    @property
    def endpoint(self) -> str:
        return self.server.endpoint

    @property
    def credentials(self) -> Credentials:
        return self.server.credentials

    async def stop(self) -> None:
        await self.process.stop()

    async def start(self) -> None:
        await self.process.start()


@asynccontextmanager
async def running_minio(folder: Path, *, tls: bool = False) -> AsyncGenerator[RunningMinio]:
    """Empty when the block begins."""
    settings = MinioServerSettings()
    files = _tls_files(folder / "certificates") if tls else None
    server = replace(MinioServer.choose(folder, settings, FreePorts()), tls=files)
    plan = minio.plan(server, log=folder / "minio.log", settings=settings)
    async with running(plan) as process:
        yield RunningMinio(
            server=server, process=process, authority=None if files is None else files.authority
        )


def _tls_files(folder: Path) -> TlsFiles:
    folder.mkdir(parents=True)
    authority = Authority(folder.with_name("authority"))
    key, certificate = authority.identity()
    (folder / "private.key").write_bytes(key)
    (folder / "public.crt").write_bytes(certificate)
    return TlsFiles(folder=folder, authority=authority.certificate)
