"""What the broker's plan promises before any broker runs; tests/servers has the running one."""

from dataclasses import replace
from pathlib import Path

import pytest

from stemyard.stack import kafka
from stemyard.stack.errors import EnvironmentLacks, StackError
from stemyard.stack.kafka import KafkaBroker, SecureListener
from stemyard.stack.ports import FreePorts
from stemyard.stack.settings import KafkaServerSettings

SETTINGS = KafkaServerSettings()


def test_without_java_it_says_how_to_get_it(tmp_path: Path) -> None:
    settings = KafkaServerSettings(java="/nowhere/java")
    broker = KafkaBroker.choose(tmp_path, settings, FreePorts())
    with pytest.raises(EnvironmentLacks, match="apt-get install"):
        kafka.plan(broker, log=tmp_path / "log", settings=settings)


def test_without_its_jars_it_says_how_to_get_them(tmp_path: Path) -> None:
    settings = KafkaServerSettings(jars=tmp_path)
    broker = KafkaBroker.choose(tmp_path, settings, FreePorts())
    with pytest.raises(EnvironmentLacks, match="make servers"):
        kafka.plan(broker, log=tmp_path / "log", settings=settings)


async def test_a_folder_is_formatted_once_and_kept_from_others(tmp_path: Path) -> None:
    secure = SecureListener(port=1, identity=tmp_path / "identity.pem", users={"who": "secret"})
    broker = replace(KafkaBroker.choose(tmp_path / "kafka", SETTINGS, FreePorts()), secure=secure)
    await kafka.prepare(broker, SETTINGS)
    cluster = (broker.data / "meta.properties").read_text()
    moved = replace(broker, port=broker.port + 1, secure=None)
    await kafka.prepare(moved, SETTINGS)
    assert (broker.data / "meta.properties").read_text() == cluster
    assert f"PLAINTEXT://127.0.0.1:{moved.port}" in broker.configuration.read_text()
    for path in (broker.folder, broker.configuration):
        assert path.stat().st_mode & 0o077 == 0


async def test_a_folder_that_cannot_be_formatted_says_why(tmp_path: Path) -> None:
    broker = replace(
        KafkaBroker.choose(tmp_path / "kafka", SETTINGS, FreePorts()), controller_port=-1
    )
    with pytest.raises(StackError, match="could not be formatted"):
        await kafka.prepare(broker, SETTINGS)


async def test_where_nobody_listens_nothing_is_ready(tmp_path: Path) -> None:
    assert not await KafkaBroker.choose(tmp_path, SETTINGS, FreePorts()).is_ready()
