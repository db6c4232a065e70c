from pathlib import Path

import pytest
from pydantic import SecretStr

from serving.errors import AdminRequestFailed
from serving.running import leave_settings, settings_of
from serving.settings import ModelTuning, Ports, ServingSettings


def test_the_settings_of_a_server_are_found_where_it_runs(tmp_path: Path) -> None:
    settings = ServingSettings(
        runtime=tmp_path,
        repository=tmp_path / "models",
        models=("one", "two"),
        ports=Ports(http=1, grpc=2, metrics=3),
        tuning_by_model={"one": ModelTuning(threads=2)},
    )
    leave_settings(settings)
    assert settings_of(tmp_path) == settings


def test_no_secret_is_left(tmp_path: Path) -> None:
    secret = SecretStr("nobody reads this")
    leave_settings(
        ServingSettings(runtime=tmp_path, admin_secret=secret, shared_memory_secret=secret)
    )
    left = "".join(path.read_text() for path in tmp_path.iterdir())
    assert "nobody" not in left
    assert settings_of(tmp_path).admin_secret is None


def test_where_no_server_has_run_there_is_nothing_to_load_into(tmp_path: Path) -> None:
    with pytest.raises(AdminRequestFailed, match="no server has run from"):
        settings_of(tmp_path)
