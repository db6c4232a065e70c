"""What the store's plan promises before any server runs; tests/servers has the running one."""

from pathlib import Path

import pytest

from stemyard.stack import minio
from stemyard.stack.errors import EnvironmentLacks
from stemyard.stack.minio import Credentials, MinioServer
from stemyard.stack.ports import FreePorts
from stemyard.stack.settings import MinioServerSettings

SETTINGS = MinioServerSettings()


def test_without_its_program_it_says_how_to_get_it(tmp_path: Path) -> None:
    settings = MinioServerSettings(program=tmp_path / "minio")
    server = MinioServer.choose(tmp_path / "store", settings, FreePorts())
    with pytest.raises(EnvironmentLacks, match="make servers"):
        minio.plan(server, log=tmp_path / "log", settings=settings)


def test_credentials_are_made_once_and_kept_from_others(tmp_path: Path) -> None:
    first = MinioServer.choose(tmp_path / "store", SETTINGS, FreePorts())
    second = MinioServer.choose(tmp_path / "store", SETTINGS, FreePorts())
    assert first.credentials == second.credentials
    assert first.credentials != Credentials.kept_in(tmp_path / "others")
    assert first.credentials_file.stat().st_mode & 0o077 == 0


def test_the_secret_is_no_part_of_what_is_printed_or_listed(tmp_path: Path) -> None:
    server = MinioServer.choose(tmp_path / "store", SETTINGS, FreePorts())
    secret = server.credentials.secret_key
    plan = minio.plan(server, log=tmp_path / "log", settings=SETTINGS)
    assert secret not in repr(server)
    assert secret not in " ".join(plan.command)
    assert secret in plan.environment.values()
