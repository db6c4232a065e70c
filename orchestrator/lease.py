"""Holding a claim while its job runs."""

import asyncio
from time import monotonic

import structlog

from orchestrator.claims import Claim, ClaimBook
from stemcore.database.notifications import wait_for_hint
from stemcore.errors import Unavailable

RETRY_S = 0.5

_log = structlog.get_logger(__name__)


class Lease:
    """A claim's lease as its holder knows it: it ends here no later than in the database.

    `asked_at_s` is the monotonic time before the claim was asked for. `is_unanswered` tells whether
    the database owes the answer to a renewal.
    """

    def __init__(
        self, claims: ClaimBook, claim: Claim, *, length_s: float, asked_at_s: float
    ) -> None:
        self.claim = claim
        self._claims = claims
        self._length_s = length_s
        self._held_until_s = asked_at_s + length_s
        self.is_unanswered = False

    async def taken(self) -> None:
        """Renew until the claim is somebody else's, or nobody's any more."""
        with self._claims.changed(self.claim) as hint:
            while True:
                await wait_for_hint(hint, timeout_s=self._length_s / 3)
                if not await self._renewed():
                    return

    async def expired(self) -> None:
        """Return when the last renewal is over; in doubt the job is another worker's then."""
        while (left_s := self._held_until_s - monotonic()) > 0:  # noqa: ASYNC110 - it moves
            await asyncio.sleep(left_s)

    async def _renewed(self) -> bool:
        """Whether the claim is still ours, once the database tells."""
        while True:
            asked_at_s = monotonic()
            self.is_unanswered = True
            try:
                held = await self._claims.renew(self.claim)
            except Unavailable as error:
                _log.warning("lease_not_renewed", reason=error.message)
                await asyncio.sleep(RETRY_S)
            else:
                self.is_unanswered = False
                self._held_until_s = asked_at_s + self._length_s
                return held
