"""Tokens that must not open a door, each wrong in one way alone."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from time import time
from typing import Any
from uuid import UUID, uuid4

from joserfc import jwt
from joserfc.jwk import OctKey

from gateway.accounts.tokens import ALGORITHM, TOKEN_TYPE
from tests.integration.gateway.conftest import SECRET

ANOTHER_SECRET = "another secret of thirty-two characters"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stranger:
    """What is sent as `Authorization`, and the code of the refusal."""

    authorization: str | None
    code: str = "invalid_token"

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.authorization is None else {"Authorization": self.authorization}


def signed(account_id: UUID | str, **changes: Any) -> str:
    """A token as the gateway signs it, with claims changed or, when None, left out."""
    now = int(time())
    claims: dict[str, Any] = {
        "iss": "stemyard",
        "aud": "stemyard-api",
        "sub": str(account_id),
        "iat": now,
        "exp": now + 900,
    }
    algorithm = changes.pop("alg", ALGORITHM)
    header = _given({"alg": algorithm, "typ": changes.pop("typ", TOKEN_TYPE)})
    key = OctKey.import_key(changes.pop("secret", SECRET))
    return jwt.encode(header, _given(claims | changes), key, algorithms=[algorithm])


def strangers_to(owner_id: UUID) -> dict[str, Stranger]:
    """Nearly the owner: only what the name says is wrong."""
    good = signed(owner_id)
    header, claims, signature = good.split(".")
    now = int(time())
    tokens = {
        "garbage": "garbage",
        "unsigned": f"{_encoded({'alg': 'none', 'typ': TOKEN_TYPE})}.{claims}.",
        "without signature": f"{header}.{claims}.",
        "another's signature": f"{header}.{signed(uuid4()).split('.')[1]}.{signature}",
        "another secret": signed(owner_id, secret=ANOTHER_SECRET),
        "another algorithm": signed(owner_id, alg="HS512"),
        "another audience": signed(owner_id, aud="another-api"),
        "without audience": signed(owner_id, aud=None),
        "another issuer": signed(owner_id, iss="another"),
        "without issuer": signed(owner_id, iss=None),
        "another type": signed(owner_id, typ="refresh+jwt"),
        "plain type": signed(owner_id, typ="JWT"),
        "without type": signed(owner_id, typ=None),
        "without end": signed(owner_id, exp=None),
        "not valid yet": signed(owner_id, nbf=now + 600),
        "without subject": signed(owner_id, sub=None),
        "subject no id": signed("root"),
        "nobody's account": signed(uuid4()),
    }
    return {
        "nobody": Stranger(authorization=None),
        "no token": Stranger(authorization="Bearer"),
        "another scheme": Stranger(authorization=f"Basic {good}"),
        "expired": Stranger(
            authorization=f"Bearer {signed(owner_id, exp=now - 60)}", code="token_expired"
        ),
        **{name: Stranger(authorization=f"Bearer {token}") for name, token in tokens.items()},
    }


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _encoded(part: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
