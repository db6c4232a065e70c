"""The object store that other tests lean on."""

import ssl
from pathlib import Path

import httpx

from tests.servers.minio import RunningMinio, running_minio


async def test_only_who_has_the_keys_gets_in(minio_server: RunningMinio) -> None:
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{minio_server.endpoint}/")
    assert answer.status_code == 403


async def test_it_is_away_and_back_on_the_same_port(tmp_path: Path) -> None:
    async with running_minio(tmp_path / "minio") as minio:
        await minio.stop()
        assert not await minio.server.is_ready()
        await minio.start()
        assert await minio.server.is_ready()


async def test_it_speaks_tls_with_an_authority_of_its_own(tmp_path: Path) -> None:
    async with running_minio(tmp_path / "minio", tls=True) as minio:
        assert minio.endpoint.startswith("https://")
        context = ssl.create_default_context(cafile=str(minio.authority))
        async with httpx.AsyncClient(verify=context) as client:
            answer = await client.get(f"{minio.endpoint}/minio/health/live")
    assert answer.status_code == 200
