import pytest

from gateway.accounts.account import require_good_password
from stemcore.errors import ErrorCode, InvalidInput


@pytest.mark.parametrize(
    "password", ["password123", "correct horse 7 battery", "ßßßßßßß1", "a1" * 64]
)
def test_a_good_password_passes(password: str) -> None:
    require_good_password(password, email="ada@example.com")


@pytest.mark.parametrize(
    ("password", "needed"),
    [
        ("a1b2c3d", "at least 8 characters"),
        ("a1" * 65, "at most 128 characters"),
        ("12345678", "at least one letter"),
        ("abcdefgh", "at least one digit or sign"),
        ("ADA@example.com", "something else than the email address"),
        ("", "at least 8 characters"),
    ],
)
def test_a_weak_password_is_told_what_it_needs(password: str, needed: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        require_good_password(password, email="ada@example.com")
    assert caught.value.code is ErrorCode.WEAK_PASSWORD
    assert needed in caught.value.message
