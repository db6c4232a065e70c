import pytest
from pydantic import ValidationError

from gateway.__main__ import main
from gateway.settings import GatewaySettings

PREFIX = "STEMYARD_GATEWAY_"
NEEDED = {
    "DATABASE__DSN": "postgresql://stemyard:hidden@db/stemyard",
    "STORAGE__ROOT": "/var/lib/stemyard",
    "AUTH__SECRET": "hidden" * 6,
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in NEEDED.items():
        monkeypatch.setenv(PREFIX + name, value)
    return monkeypatch


def test_settings_come_from_the_environment(environment: pytest.MonkeyPatch) -> None:
    environment.setenv(PREFIX + "HTTP__PORT", "9000")
    environment.setenv(PREFIX + "HTTP__CORS_ORIGINS", '["https://app.example.com"]')
    environment.setenv(PREFIX + "LIMITS__LIVE_JOBS", "3")
    settings = GatewaySettings()  # type: ignore[call-arg]
    assert settings.http.port == 9000
    assert settings.http.cors_origins == ("https://app.example.com",)
    assert settings.limits.live_jobs == 3
    assert settings.limits.decode_limits().max_bytes == settings.limits.upload_bytes
    assert settings.auth.access_token_lifetime_s == 900
    assert not settings.demo_account


def test_no_secret_is_shown(environment: pytest.MonkeyPatch) -> None:
    assert "hidden" not in repr(GatewaySettings())  # type: ignore[call-arg]


@pytest.mark.parametrize("name", NEEDED)
def test_what_has_no_default_must_be_given(environment: pytest.MonkeyPatch, name: str) -> None:
    environment.delenv(PREFIX + name)
    with pytest.raises(ValidationError):
        GatewaySettings()  # type: ignore[call-arg]


def test_the_gateway_does_not_start_with_a_short_secret(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment.setenv(PREFIX + "AUTH__SECRET", "hidden")
    with pytest.raises(SystemExit, match="2"):
        main()
    complaint = capsys.readouterr().err
    assert f"{PREFIX}AUTH__SECRET" in complaint
    assert "hidden" not in complaint


@pytest.mark.parametrize("name", ["HTTP__PROT", "DATABASE__POOL", "TRITON__ADRESS", "TRACES__URL"])
def test_a_misspelt_setting_is_named(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    environment.setenv(PREFIX + name, "1")
    with pytest.raises(SystemExit, match="2"):
        main()
    assert f"{PREFIX}{name}: " in capsys.readouterr().err


def test_what_should_be_json_and_is_not_is_named(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment.setenv(PREFIX + "SANDBOX__REQUIRE", "[hidden")
    with pytest.raises(SystemExit, match="2"):
        main()
    complaint = capsys.readouterr().err
    assert '"sandbox"' in complaint
    assert "hidden" not in complaint


S3 = {
    "STORAGE__S3__ENDPOINT": "https://s3.example.com",
    "STORAGE__S3__ACCESS_KEY": "hidden",
    "STORAGE__S3__SECRET_KEY": "hidden",
}


def test_presigned_downloads_need_a_store_that_can(environment: pytest.MonkeyPatch) -> None:
    environment.setenv(PREFIX + "DOWNLOADS__PRESIGNED", "true")
    with pytest.raises(ValidationError, match="need an S3 store"):
        GatewaySettings()  # type: ignore[call-arg]
    environment.delenv(PREFIX + "STORAGE__ROOT")
    for name, value in S3.items():
        environment.setenv(PREFIX + name, value)
    settings = GatewaySettings()  # type: ignore[call-arg]
    assert settings.downloads.presigned
    assert "hidden" not in repr(settings)
