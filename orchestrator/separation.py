"""One separation job as one stream: fetch, decode, segment, infer, join, encode, store."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic

from orchestrator.claims import Claim, ClaimBook, Outcome, Progress
from orchestrator.delivered_null import DeliveredNull, complete_set, delivered_null
from orchestrator.delivery import StemEncoder
from orchestrator.finishing import Recipe
from orchestrator.full_band import FullBand, open_band
from orchestrator.joining import Engine, JoinReport, Separation
from orchestrator.ledger import Ledger
from orchestrator.mix import FRAME_BYTES, MixFacts, spool
from orchestrator.models import Models
from orchestrator.pass_mean import PassMean
from orchestrator.plans import plans_of
from orchestrator.scratch import Scratch
from orchestrator.segment_scheduler import SegmentScheduler, Share
from orchestrator.separator import StemSeparator
from orchestrator.sources import fetch, storage_errors
from orchestrator.storing import Delivery, Storing, file_format_of
from orchestrator.tape import Tape
from orchestrator.task_errors import single_error
from orchestrator.verdict import measures_of, warnings_of
from orchestrator.watch import UNWATCHED, RunWatch, Stage
from stemcore.audio_decoder import AudioDecoder
from stemcore.errors import LeaseLost
from stemcore.model_card import ModelCard
from stemcore.planning import require_runnable
from stemcore.separation_request import SeparationRequest
from stemcore.storage.port import ObjectStore

# Where the stages of a run end, between 0 and 1.
FETCHED, DECODED, SEPARATED = 0.02, 0.08, 0.98


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """Everything a run works with, built in the composition root."""

    claims: ClaimBook
    store: ObjectStore
    scratch: Scratch
    models: Models
    separator: StemSeparator
    scheduler: SegmentScheduler
    encoder: StemEncoder
    decoder: AudioDecoder
    watch: RunWatch = UNWATCHED


class SeparationRunner:
    """The JobRunner of separations."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop

    async def run(self, claim: Claim, progress: Progress) -> Outcome:
        """The whole job; see JobRunner."""
        request = SeparationRequest.from_dict(claim.parameters)
        card = await self._workshop.models.card(request.model)
        require_runnable(request, card)
        if not await self._workshop.claims.pin(claim, _pin_of(card)):
            raise LeaseLost(str(claim.job_id))
        name = f"{claim.job_id}-{claim.lease_token}"
        async with self._workshop.scratch.run_folder(name) as folder:
            run = SeparationRun(
                workshop=self._workshop,
                claim=claim,
                request=request,
                card=card,
                recipe=Recipe.of(request, card),
                folder=folder,
                progress=progress,
                ledger=Ledger({**claim.ledger, "queue_s": claim.queue_s}),
            )
            return await run.outcome()

    async def discard(self, claim: Claim) -> None:
        """Delete what the claim has stored."""
        with storage_errors():
            await self._workshop.store.delete_prefix(claim.result_prefix)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeparationRun:
    """One run of one claim, in a scratch folder of its own."""

    workshop: Workshop
    claim: Claim
    request: SeparationRequest
    card: ModelCard
    recipe: Recipe
    folder: Path
    progress: Progress
    ledger: Ledger

    async def outcome(self) -> Outcome:
        """Results stored under the claim's prefix, and what is to be said about them."""
        facts = await self._mix_down()
        self.workshop.scratch.require(self._scratch_bytes(facts.frames))
        with (
            open_band(self._mix_path, self._original_path, facts) as band,
            Tape(self.folder, stems=self.request.stems, total_frames=facts.frames) as tape,
        ):
            made = await self._separate(band, tape)
        return Outcome(
            results=[delivery.file for delivery in made.deliveries],
            ledger=self.ledger.to_dict(),
            source_facts=facts.source.to_dict(),
            measures=measures_of(made.joined, made.delivered, self.recipe, self.card),
            warnings=warnings_of(facts, {d.file.name: d.report for d in made.deliveries}),
        )

    def _scratch_bytes(self, frames: int) -> int:
        sums = PassMean.scratch_bytes(
            frames, passes=max(1, self.request.shifts), stems=len(self.recipe.stems)
        )
        return frames * FRAME_BYTES * len(self.recipe.files) + sums

    @property
    def _mix_path(self) -> Path:
        return self.folder / "mix.pcm"

    @property
    def _original_path(self) -> Path:
        return self.folder / "original.pcm"

    async def _mix_down(self) -> MixFacts:
        source = self.folder / "source"
        await self.progress(0.0, stage="fetching")
        self.workshop.scratch.require(self.claim.source_bytes)
        with self.ledger.timed("fetch_s"), self.workshop.watch.stage(Stage.FETCH):
            await fetch(self.workshop.store, self.claim, source)
        await self.progress(FETCHED, stage="decoding")
        consume = partial(
            spool,
            path=self._mix_path,
            sample_rate_hz=self.card.sample_rate,
            original=self._original_path if self.recipe.leans_on_song else None,
        )
        with self.ledger.timed("decode_s"), self.workshop.watch.stage(Stage.DECODE):
            facts = await self.workshop.decoder.decode(source, consume)
        await asyncio.to_thread(source.unlink)
        return facts

    async def _separate(self, band: FullBand, tape: Tape) -> "Made":
        separation = Separation(
            mix=band.mix,
            engine=self._engine(),
            plans=plans_of(self.request, self.card, frames=band.mix.facts.frames),
            recipe=self.recipe,
            scratch=self.folder / "passes.pcm",
        )
        tell = self._teller(sum(len(plan) for plan in separation.plans))
        await tell(0)
        with single_error():
            async with asyncio.TaskGroup() as group:
                deliveries, null = self._deliveries(group, band, tape)
                with self.workshop.watch.stage(Stage.SEPARATE):
                    joined = await separation.onto(tape, on_segment=tell)
                await self.progress(SEPARATED, stage="storing")
                stored_from = monotonic()
        made = Made(
            joined=joined,
            deliveries=[task.result() for task in deliveries],
            delivered=None if null is None else null.result(),
        )
        self.ledger.add("store_s", monotonic() - stored_from)
        self._book(made)
        return made

    def _engine(self) -> Engine:
        return Engine(
            separator=self.workshop.separator,
            scheduler=self.workshop.scheduler,
            card=self.card,
            stems=self.recipe.stems,
            share=Share(account_id=self.claim.account_id, priority=self.claim.priority),
        )

    def _deliveries(
        self, group: asyncio.TaskGroup, band: FullBand, tape: Tape
    ) -> tuple[Sequence[asyncio.Task[Delivery]], asyncio.Task[DeliveredNull] | None]:
        file = file_format_of(self.request, band.mix.facts)
        storing = Storing(
            store=self.workshop.store,
            encoder=self.workshop.encoder,
            watch=self.workshop.watch,
            prefix=self.claim.result_prefix,
            folder=self.folder,
            recipe=self.recipe,
        )
        deliveries = [
            group.create_task(
                storing.deliver(tape, wanted, file=file, band=band), name=f"deliver {wanted.name}"
            )
            for wanted in self.recipe.files
        ]
        together = complete_set(self.recipe, self.card)
        if not (self.recipe.consistency and together):
            return deliveries, None
        shares = {wanted.name: self.recipe.share_of_song(wanted) for wanted in together}
        measured = delivered_null(band, tape, shares, file=file)
        return deliveries, group.create_task(measured, name="null depth")

    def _book(self, made: "Made") -> None:
        self.ledger.add("inference_s", made.joined.inference_s)
        self.ledger.add("join_s", made.joined.join_s)
        self.ledger.add_segments(made.joined.segments, max_batch_size=self.card.max_batch_size)
        for delivery in made.deliveries:
            self.ledger.add("encode_s", delivery.report.encode_s)

    def _teller(self, segments: int) -> Callable[[int], Awaitable[None]]:
        started = monotonic()

        async def tell(done: int) -> None:
            part = done / segments
            eta_s = (monotonic() - started) / part * (1 - part) if done else None
            fraction = DECODED + (SEPARATED - DECODED) * part
            await self.progress(fraction, stage="separating", eta_s=eta_s)

        return tell


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What a run has made; `delivered` only where the files are to add up."""

    joined: JoinReport
    deliveries: Sequence[Delivery]
    delivered: DeliveredNull | None


def _pin_of(card: ModelCard) -> dict[str, str]:
    return {
        "model": card.name,
        "digest": card.digest,
        "engine": card.engine,
        "precision": card.precision,
        "profile": card.profile,
    }
