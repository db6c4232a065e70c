"""Access tokens: JSON Web Tokens signed with a secret of the service (RFC 9068)."""

import time
from dataclasses import dataclass
from uuid import UUID

from joserfc import jwt
from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwk import OctKey

from gateway.errors import Unauthenticated
from gateway.settings import AuthSettings
from stemcore.errors import ErrorCode
from stemcore.ids import new_id

ALGORITHM = "HS256"
TOKEN_TYPE = "at+jwt"  # noqa: S105


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """A signed token and how long it holds."""

    value: str
    lifetime_s: int


class AccessTokens:
    """Issues tokens, and reads the account out of those it issued."""

    def __init__(self, settings: AuthSettings) -> None:
        self._settings = settings
        self._key = OctKey.import_key(settings.secret.get_secret_value())
        self._claims = jwt.JWTClaimsRegistry(
            iss={"essential": True, "value": settings.issuer},
            aud={"essential": True, "value": settings.audience},
            sub={"essential": True},
            exp={"essential": True},
        )

    def issue(self, account_id: UUID, *, now_s: float | None = None) -> AccessToken:
        """A token of `account_id`, issued at `now_s` (seconds since 1970)."""
        issued_at = int(time.time() if now_s is None else now_s)
        lifetime_s = self._settings.access_token_lifetime_s
        claims = {
            "iss": self._settings.issuer,
            "aud": self._settings.audience,
            "sub": str(account_id),
            "iat": issued_at,
            "exp": issued_at + lifetime_s,
            "jti": str(new_id()),
        }
        value = jwt.encode({"alg": ALGORITHM, "typ": TOKEN_TYPE}, claims, self._key)
        return AccessToken(value=value, lifetime_s=lifetime_s)

    def account_of(self, value: str) -> UUID:
        """The account a token stands for; raises Unauthenticated."""
        try:
            token = jwt.decode(value, self._key, algorithms=[ALGORITHM])
            self._claims.validate(token.claims)
            if token.header.get("typ") != TOKEN_TYPE:
                raise _invalid()
            return UUID(token.claims["sub"])
        except ExpiredTokenError:
            raise Unauthenticated(
                ErrorCode.TOKEN_EXPIRED, "The access token has expired; ask for a new one."
            ) from None
        except (JoseError, ValueError, TypeError, AttributeError) as error:
            raise _invalid() from error


def _invalid() -> Unauthenticated:
    return Unauthenticated(ErrorCode.INVALID_TOKEN, "The access token is not valid.")
