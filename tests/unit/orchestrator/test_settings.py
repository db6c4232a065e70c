from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from orchestrator.settings import OrchestratorSettings

SECRET = "a-secret-that-nobody-may-read"


def settings(folder: Path, **changes: Any) -> OrchestratorSettings:
    return OrchestratorSettings.model_validate(
        {
            "database": {"dsn": "postgresql://nobody@127.0.0.1:1/nothing"},
            "storage": {"root": folder},
            "scratch": {"root": folder},
            "kafka": {"bootstrap_servers": "127.0.0.1:9092"},
        }
        | changes
    )


def test_messages_are_remembered_for_longer_than_kafka_keeps_them(tmp_path: Path) -> None:
    assert settings(tmp_path).inbox_kept_days > 7
    with pytest.raises(ValidationError, match=r"inbox_kept_days must exceed .* 7 days"):
        settings(tmp_path, inbox_kept_days=7)
    topics = {"submissions": {"partitions": 1, "retention_hours": 24 * 90}}
    kafka = {"bootstrap_servers": "127.0.0.1:9092", "topics": topics}
    with pytest.raises(ValidationError, match="90 days"):
        settings(tmp_path, kafka=kafka)
    assert settings(tmp_path, kafka=None, inbox_kept_days=7).kafka is None


def test_a_complaint_shows_no_password(tmp_path: Path) -> None:
    kafka = {"bootstrap_servers": "127.0.0.1:9092", "username": "u", "password": SECRET}
    with pytest.raises(ValidationError) as refused:
        settings(tmp_path, kafka=kafka)
    assert SECRET not in str(refused.value)


def test_a_misspelt_setting_is_named(tmp_path: Path) -> None:
    kafka = {"bootstrap_servers": "127.0.0.1:9092", "usernam": "u"}
    with pytest.raises(ValidationError, match="usernam"):
        settings(tmp_path, kafka=kafka)
