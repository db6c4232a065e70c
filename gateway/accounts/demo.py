"""The well-known account of demo mode."""

import asyncio

import structlog

from gateway.accounts.service import AccountService
from stemcore.errors import Conflict, Unavailable

EMAIL = "test@example.com"
PASSWORD = "password123"  # noqa: S105
RETRY_S = 1.0

_log = structlog.get_logger(__name__)


async def ensure_demo_account(accounts: AccountService) -> None:
    """Create the demo account as soon as the database answers."""
    _log.warning("demo_account_enabled", email=EMAIL, advice="never where strangers can reach it")
    while True:
        try:
            await accounts.register(email=EMAIL, password=PASSWORD, full_name="Demo Account")
        except Conflict:
            return
        except Unavailable:
            await asyncio.sleep(RETRY_S)
        else:
            return
