"""Password hashes: argon2id, beside the event loop, a few at a time."""

import asyncio

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

# Each hash takes 64 MiB, so sign-ins may not multiply them.
CONCURRENT_HASHES = 2


class Passwords:
    """Hashes and verifies; an unknown account costs as much time as a known one."""

    def __init__(self) -> None:
        self._hasher = PasswordHash((Argon2Hasher(),))
        self._slots = asyncio.Semaphore(CONCURRENT_HASHES)
        self._nobody: str | None = None

    async def hash(self, password: str) -> str:
        """The hash to keep."""
        async with self._slots:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def verify(self, password: str, password_hash: str | None) -> bool:
        """Whether the password fits; None, for no such account, is verified against a decoy."""
        known = password_hash or await self._decoy()
        async with self._slots:
            fits = await asyncio.to_thread(self._hasher.verify, password, known)
        return fits and password_hash is not None

    async def _decoy(self) -> str:
        if self._nobody is None:
            self._nobody = await self.hash("the password of nobody")
        return self._nobody
