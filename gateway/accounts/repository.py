"""Accounts in PostgreSQL."""

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg

from gateway.accounts.account import Account
from stemcore.database.pool import database_errors
from stemcore.errors import Conflict, ErrorCode
from stemcore.ids import new_id

if TYPE_CHECKING:
    from stemcore.database.pool import Pool

_COLUMNS = "id, email, full_name, plan, created_at"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """An account's id and password hash."""

    account_id: UUID
    password_hash: str


class AccountRepository:
    """Reads and writes accounts."""

    def __init__(self, pool: "Pool") -> None:
        self._pool = pool

    async def add(self, *, email: str, full_name: str, password_hash: str) -> Account:
        """A new account; raises Conflict when the address has one."""
        with database_errors():
            try:
                (row,) = await self._pool.fetch(
                    f"""
                    INSERT INTO accounts (id, email, full_name, password_hash)
                    VALUES ($1, $2, $3, $4) RETURNING {_COLUMNS}
                    """,  # noqa: S608
                    new_id(),
                    email,
                    full_name,
                    password_hash,
                )
            except asyncpg.UniqueViolationError:
                message = "There is an account with this email address."
                raise Conflict(ErrorCode.EMAIL_TAKEN, message) from None
        return Account(**row)

    async def find(self, account_id: UUID) -> Account | None:
        """The account of that id."""
        with database_errors():
            row = await self._pool.fetchrow(
                f"SELECT {_COLUMNS} FROM accounts WHERE id = $1",  # noqa: S608
                account_id,
            )
        return Account(**row) if row else None

    async def credentials(self, email: str) -> Credentials | None:
        """What is needed to check a password."""
        with database_errors():
            row = await self._pool.fetchrow(
                "SELECT id, password_hash FROM accounts WHERE lower(email) = lower($1)", email
            )
        return Credentials(account_id=row[0], password_hash=row[1]) if row else None
