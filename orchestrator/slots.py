"""Execution slots: claim a job, hold its lease while it runs, settle what became of it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from time import monotonic

import structlog

from orchestrator.claims import Claim, ClaimBook, Interrupted, JobRunner, Outcome
from orchestrator.lease import Lease
from orchestrator.progress import ThrottledProgress
from orchestrator.watch import UNWATCHED, Ending, RunWatch, WatchedRun, ending_of
from stemcore.database.notifications import wait_for_hint
from stemcore.errors import ErrorCode, InvalidInput, LeaseLost, StemyardError, Unavailable
from stemcore.tasks import to_its_end

POLL_S = 1.0
SETTLE_RETRY_S = 0.5
# Troubles of the worker's surroundings, which no job can have brought about.
SURROUNDINGS = frozenset(
    {ErrorCode.STORAGE_UNAVAILABLE, ErrorCode.SCRATCH_FULL, ErrorCode.DECODER_UNAVAILABLE}
)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotRules:
    """How a slot holds and gives back.

    Claims that fail for their surroundings are not counted while the job is younger than
    `outage_patience_s`, and tried again every `outage_backoff_s`.
    """

    lease_length_s: float
    max_claims: int
    backoff_s: float
    outage_backoff_s: float
    outage_patience_s: float
    progress_every_s: float


class Slot:
    """Runs one job at a time until told to stop."""

    def __init__(
        self,
        claims: ClaimBook,
        runners: Mapping[str, JobRunner],
        *,
        rules: SlotRules,
        ready: Callable[[], Awaitable[bool]],
        watch: RunWatch = UNWATCHED,
    ) -> None:
        self._claims = claims
        self._runners = runners
        self._rules = rules
        self._ready = ready
        self._watch = watch

    async def run(self, stopping: asyncio.Event) -> None:
        """Take jobs until `stopping`; the job at hand is finished first."""
        with self._claims.queued() as hint:
            while not stopping.is_set():
                lease = await self._next_claim()
                if lease is None:
                    await _first_of(wait_for_hint(hint, timeout_s=POLL_S), stopping.wait())
                elif stopping.is_set():
                    await to_its_end(self._give_back(lease.claim))
                else:
                    await self._work(lease)

    async def _next_claim(self) -> Lease | None:
        # Nothing is claimed while no server could compute it: waiting must not use up attempts.
        try:
            return await self._claimed() if await self._ready() else None
        except Unavailable as error:
            _log.warning("claim_failed", reason=error.message)
            return None

    async def _claimed(self) -> Lease | None:
        asked_at_s = monotonic()
        claim = await self._claims.claim(list(self._runners))
        if claim is None:
            return None
        length_s = self._rules.lease_length_s
        return Lease(self._claims, claim, length_s=length_s, asked_at_s=asked_at_s)

    async def _work(self, lease: Lease) -> None:
        claim = lease.claim
        with self._watch.run(claim) as watched:
            _log.info("job_claimed", claims=claim.claims)
            try:
                outcome = await self._outcome(lease)
            except asyncio.CancelledError:
                watched.ended(Ending.GIVEN_BACK)
                await to_its_end(self._give_back(claim))
                raise
            await to_its_end(self._conclude(claim, outcome, watched))

    async def _conclude(
        self, claim: Claim, outcome: Outcome | Exception, watched: WatchedRun
    ) -> None:
        """Settle; objects are deleted only when it is certain that they were not published."""
        try:
            settled = await self._settle(claim, outcome)
        except Unavailable as error:
            _log.error("settlement_unknown", reason=error.message)
            watched.ended(Ending.UNKNOWN)
            return
        if settled:
            last_attempt = claim.claims >= self._rules.max_claims
            watched.ended(ending_of(outcome, last_attempt=last_attempt))
        else:
            watched.ended(Ending.LOST)
            _log.warning("claim_stale")
            await self._discard(claim)

    async def _outcome(self, lease: Lease) -> Outcome | Exception:
        """What the run came to, at the latest when the claim is taken or its lease runs out."""
        claim = lease.claim
        progress = ThrottledProgress(
            self._claims, claim, every_s=self._rules.progress_every_s, clock=monotonic
        )
        runner = self._runners[claim.kind]
        run = asyncio.create_task(runner.run(claim, progress), name=f"run {claim.job_id}")
        taken = asyncio.create_task(lease.taken(), name=f"hold {claim.job_id}")
        expired = asyncio.create_task(lease.expired(), name=f"expiry {claim.job_id}")
        tasks = (run, taken, expired)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if run.done():
                return _result_of(run)
            if taken.done():
                taken.result()
                return LeaseLost(str(claim.job_id))
            _log.warning("lease_ran_out", database_away=lease.is_unanswered)
            # Otherwise we have slept, perhaps because of the job: the sweeper will count that.
            return Interrupted() if lease.is_unanswered else LeaseLost(str(claim.job_id))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _settle(self, claim: Claim, outcome: Outcome | Exception) -> bool:
        """Write what became of the run; False when the claim is stale."""
        match outcome:
            case Outcome():
                settled = await self._written(lambda: self._claims.succeed(claim, outcome))
                _log.info("job_succeeded" if settled else "job_lost", **outcome.ledger)
                return settled
            case LeaseLost():
                return False
            case Interrupted():
                await self._give_back(claim)
                return True
            case InvalidInput() as error:
                return await self._fail(claim, error)
            case Unavailable() as error:
                return await self._back_off(claim, error)
            case _:
                _log.error("run_crashed", exc_info=outcome)
                internal = StemyardError(ErrorCode.INTERNAL_ERROR, "Something broke on our side.")
                return await self._back_off(claim, internal)

    async def _back_off(self, claim: Claim, error: StemyardError) -> bool:
        """Let the job be tried again, unless this was the last time."""
        if error.code in SURROUNDINGS and claim.queue_s < self._rules.outage_patience_s:
            return await self._put_back(
                claim, error, after_s=self._rules.outage_backoff_s, counted=False
            )
        if claim.claims >= self._rules.max_claims:
            error.details["attempts"] = claim.claims
            return await self._fail(claim, error)
        after_s = self._rules.backoff_s * 2 ** (claim.claims - 1)
        return await self._put_back(claim, error, after_s=after_s, counted=True)

    async def _put_back(
        self, claim: Claim, error: StemyardError, *, after_s: float, counted: bool
    ) -> bool:
        await self._discard(claim)
        _log.warning("job_backs_off", code=error.code.value, reason=error.message, counted=counted)
        return await self._written(
            lambda: self._claims.release(claim, after_s=after_s, counted=counted)
        )

    async def _fail(self, claim: Claim, error: StemyardError) -> bool:
        await self._discard(claim)
        _log.info("job_failed", code=error.code.value, reason=error.message)
        return await self._written(lambda: self._claims.fail(claim, error))

    async def _give_back(self, claim: Claim) -> None:
        """Let another worker take the job at once, as if it had never been here."""
        await self._discard(claim)
        try:
            given_back = await self._written(
                lambda: self._claims.release(claim, after_s=0, counted=False)
            )
            _log.info("job_given_back" if given_back else "claim_stale")
        except Unavailable as error:
            _log.warning("claim_not_given_back", reason=error.message)

    async def _written(self, write: Callable[[], Awaitable[bool]]) -> bool:
        """Try for as long as the lease can last; raises Unavailable when it stayed unknown."""
        until = monotonic() + self._rules.lease_length_s
        while True:
            try:
                return await write()
            except Unavailable as error:
                if monotonic() > until:
                    raise
                _log.warning("settlement_delayed", reason=error.message)
                await asyncio.sleep(SETTLE_RETRY_S)

    async def _discard(self, claim: Claim) -> None:
        """Delete what the claim has stored, now or, while the store is away, by the sweeper."""
        try:
            await self._runners[claim.kind].discard(claim)
        except Unavailable as error:
            _log.warning("results_not_discarded", reason=error.message)
            await self._doom(claim)

    async def _doom(self, claim: Claim) -> None:
        try:
            await self._claims.doom(claim)
        except Unavailable as error:
            _log.error("results_left_behind", prefix=claim.result_prefix, reason=error.message)


def _result_of(run: asyncio.Task[Outcome]) -> Outcome | Exception:
    if run.cancelled():
        return RuntimeError("the run was cancelled from within")
    error = run.exception()
    if error is None:
        return run.result()
    if isinstance(error, Exception):
        return error
    raise error


async def _first_of(*waits: Awaitable[object]) -> None:
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
