"""Registering, signing in, and knowing a caller again."""

from gateway.accounts.account import Account, require_good_password
from gateway.accounts.passwords import Passwords
from gateway.accounts.repository import AccountRepository
from gateway.accounts.tokens import AccessToken, AccessTokens
from gateway.errors import Unauthenticated
from stemcore.errors import ErrorCode


class AccountService:
    """What can be done about accounts."""

    def __init__(
        self, accounts: AccountRepository, *, passwords: Passwords, tokens: AccessTokens
    ) -> None:
        self._accounts = accounts
        self._passwords = passwords
        self._tokens = tokens

    async def register(self, *, email: str, password: str, full_name: str) -> Account:
        """A new account; raises InvalidInput for a weak password, Conflict for a taken address."""
        require_good_password(password, email=email)
        password_hash = await self._passwords.hash(password)
        return await self._accounts.add(
            email=email, full_name=full_name, password_hash=password_hash
        )

    async def sign_in(self, *, email: str, password: str) -> AccessToken:
        """An access token; raises Unauthenticated alike for a wrong address and password."""
        known = await self._accounts.credentials(email)
        fits = await self._passwords.verify(password, known.password_hash if known else None)
        if known is None or not fits:
            raise Unauthenticated(
                ErrorCode.INVALID_CREDENTIALS, "The email address or the password is wrong."
            )
        return self._tokens.issue(known.account_id)

    async def account_of(self, token: str) -> Account:
        """The account a token stands for; raises Unauthenticated."""
        account = await self._accounts.find(self._tokens.account_of(token))
        if account is None:
            raise Unauthenticated(ErrorCode.INVALID_TOKEN, "The account is gone.")
        return account
