"""The account and the rules of its password."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from stemcore.errors import ErrorCode, InvalidInput

PASSWORD_MIN_LENGTH = 8
# argon2 takes any length; a bound keeps one request from hashing megabytes.
PASSWORD_MAX_LENGTH = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A customer; everything else belongs to one."""

    id: UUID
    email: str
    full_name: str
    plan: str
    created_at: datetime


def require_good_password(password: str, *, email: str) -> None:
    """Raise InvalidInput when the password breaks a rule; says which."""
    complaints = [
        complaint
        for broken, complaint in (
            (len(password) < PASSWORD_MIN_LENGTH, f"at least {PASSWORD_MIN_LENGTH} characters"),
            (len(password) > PASSWORD_MAX_LENGTH, f"at most {PASSWORD_MAX_LENGTH} characters"),
            (not any(map(str.isalpha, password)), "at least one letter"),
            (all(map(str.isalpha, password)), "at least one digit or sign"),
            (password.casefold() == email.casefold(), "something else than the email address"),
        )
        if broken
    ]
    if complaints:
        raise InvalidInput(
            ErrorCode.WEAK_PASSWORD,
            f"The password needs {', '.join(complaints)}.",
            details={"needs": complaints},
        )
