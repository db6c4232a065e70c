import pytest
from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from stemcore.environment import from_environment
from stemcore.settings import SettingsSection


class Door(SettingsSection):
    port: int = 80
    secret: SecretStr = SecretStr("")


class HouseSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="HOUSE_", env_nested_delimiter="__")

    name: str
    door: Door = Door()


def test_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOUSE_DOOR__PORT", "8080")
    assert from_environment(HouseSettings, name="ours").door.port == 8080


@pytest.mark.parametrize(
    ("variables", "complaint"),
    [
        ({}, "HOUSE_NAME: Field required\n"),
        ({"HOUSE_NAME": "a", "HOUSE_DOOR__PORT": "gold-42"}, "HOUSE_DOOR__PORT: "),
        ({"HOUSE_NAME": "a", "HOUSE_DOOR__PROT": "gold-42"}, "HOUSE_DOOR__PROT: "),
        ({"HOUSE_NAME": "a", "HOUSE_DOOR": "{gold-42"}, "HOUSE_...: "),
    ],
)
def test_a_wrong_one_ends_the_program_with_its_name_and_without_its_value(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    variables: dict[str, str],
    complaint: str,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        from_environment(HouseSettings)
    told = capsys.readouterr().err
    assert ended.value.code == 2
    assert told.upper().startswith(complaint.upper())
    assert "gold-42" not in told
