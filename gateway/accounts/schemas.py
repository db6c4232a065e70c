"""Accounts as JSON."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, EmailStr, Field, StringConstraints

from gateway.accounts.account import PASSWORD_MIN_LENGTH, Account
from gateway.accounts.tokens import AccessToken
from stemcore.text import StorableText, require_storable

FullName = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200),
    AfterValidator(require_storable),
]

_EXAMPLE_PASSWORD = "correct horse 7 battery"  # noqa: S105


class RegisterRequest(BaseModel):
    """A new account."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "email": "ada@example.com",
                "password": _EXAMPLE_PASSWORD,
                "full_name": "Ada Lovelace",
            }
        },
    )

    email: EmailStr
    password: str = Field(
        max_length=1024,
        description=f"At least {PASSWORD_MIN_LENGTH} characters, a letter, and a digit or sign.",
    )
    full_name: FullName


class TokenRequest(BaseModel):
    """Email and password; `username` is another name of `email`, as in the OAuth2 form."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"email": "ada@example.com", "password": _EXAMPLE_PASSWORD}}
    )

    grant_type: Literal["password"] = "password"
    email: Annotated[StorableText, Field(max_length=320)] = ""
    username: Annotated[StorableText, Field(max_length=320)] = ""
    password: str = Field(max_length=1024)

    @property
    def address(self) -> str:
        """The email address, under whichever name it came."""
        return self.email or self.username


class TokenResponse(BaseModel):
    """An access token, to be sent as `Authorization: Bearer ...`."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "access_token": "eyJhbGciOiJIUzI1NiIsInR5cCI6ImF0K2p3dCJ9.e30.c2lnbmF0dXJl",
                "token_type": "bearer",
                "expires_in": 900,
            }
        }
    )

    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105
    expires_in: int = Field(description="Seconds until the token expires.")

    @classmethod
    def of(cls, token: AccessToken) -> "TokenResponse":
        """The JSON form."""
        return cls(access_token=token.value, expires_in=token.lifetime_s)


class AccountResponse(BaseModel):
    """The caller's account."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "019a6d3c-6d0a-7c1e-8c54-a4ad6fd7b3f1",
                "email": "ada@example.com",
                "full_name": "Ada Lovelace",
                "plan": "free",
                "created_at": "2026-11-21T12:00:00Z",
            }
        }
    )

    id: UUID
    email: str
    full_name: str
    plan: str
    created_at: datetime

    @classmethod
    def of(cls, account: Account) -> "AccountResponse":
        """The JSON form."""
        return cls(
            id=account.id,
            email=account.email,
            full_name=account.full_name,
            plan=account.plan,
            created_at=account.created_at,
        )
