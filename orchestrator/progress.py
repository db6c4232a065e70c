"""Progress events, a few per second at most."""

from collections.abc import Callable

from orchestrator.claims import Claim, ClaimBook
from stemcore.errors import LeaseLost, Unavailable


class ThrottledProgress:
    """Writes a new stage at once and, within a stage, one event per period."""

    def __init__(
        self, claims: ClaimBook, claim: Claim, *, every_s: float, clock: Callable[[], float]
    ) -> None:
        self._claims = claims
        self._claim = claim
        self._every_s = every_s
        self._clock = clock
        self._stage = ""
        self._written_at = clock() - every_s

    async def __call__(self, fraction: float, *, stage: str, eta_s: float | None = None) -> None:
        """Raises LeaseLost when the claim is stale. An absent database costs the event only."""
        now = self._clock()
        if stage == self._stage and now - self._written_at < self._every_s:
            return
        self._stage, self._written_at = stage, now
        data = {} if eta_s is None else {"eta_s": round(eta_s, 1)}
        try:
            held = await self._claims.progress(
                self._claim, progress=round(fraction, 4), stage=stage, data=data
            )
        except Unavailable:
            return
        if not held:
            raise LeaseLost(str(self._claim.job_id))
