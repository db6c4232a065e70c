from uuid import uuid4

import pytest

from gateway.accounts.tokens import AccessTokens
from gateway.errors import Unauthenticated
from gateway.settings import AuthSettings
from stemcore.errors import ErrorCode


def make_tokens(**changes: object) -> AccessTokens:
    return AccessTokens(AuthSettings.model_validate({"secret": "s" * 32, **changes}))


def test_a_token_stands_for_its_account() -> None:
    tokens, account_id = make_tokens(), uuid4()
    token = tokens.issue(account_id)
    assert tokens.account_of(token.value) == account_id
    assert token.lifetime_s == 900


def test_a_token_that_has_expired_says_so() -> None:
    tokens = make_tokens()
    with pytest.raises(Unauthenticated) as caught:
        tokens.account_of(tokens.issue(uuid4(), now_s=1_000_000).value)
    assert caught.value.code is ErrorCode.TOKEN_EXPIRED


@pytest.mark.parametrize(
    "changes",
    [{"secret": "t" * 32}, {"audience": "another"}, {"issuer": "another"}],
    ids=["secret", "audience", "issuer"],
)
def test_a_token_made_elsewhere_is_not_valid(changes: dict[str, str]) -> None:
    token = make_tokens(**changes).issue(uuid4()).value
    with pytest.raises(Unauthenticated) as caught:
        make_tokens().account_of(token)
    assert caught.value.code is ErrorCode.INVALID_TOKEN


@pytest.mark.parametrize("place", [0, 1, 2], ids=["header", "claims", "signature"])
def test_a_changed_token_is_not_valid(place: int) -> None:
    tokens = make_tokens()
    parts = tokens.issue(uuid4()).value.split(".")
    middle = len(parts[place]) // 2
    changed = "A" if parts[place][middle] != "A" else "B"
    parts[place] = parts[place][:middle] + changed + parts[place][middle + 1 :]
    with pytest.raises(Unauthenticated) as caught:
        tokens.account_of(".".join(parts))
    assert caught.value.code is ErrorCode.INVALID_TOKEN


@pytest.mark.parametrize("value", ["", ".", "a.b.c", "é", "a" * 10_000, "\x00"])
def test_garbage_is_not_valid(value: str) -> None:
    with pytest.raises(Unauthenticated):
        make_tokens().account_of(value)
