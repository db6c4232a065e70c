"""One separation job as one stream: fetch, decode, segment, infer, join, encode, store."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic

from orchestrator.audio.resample import scaled_frames
from orchestrator.audio.segments import SegmentPlan
from orchestrator.claims import Claim, ClaimBook, Outcome, Progress
from orchestrator.delivery import DeliveryReport, FileFormat, StemEncoder, delivered_blocks
from orchestrator.joining import Engine, JoinReport, separate_onto_tape
from orchestrator.ledger import Ledger
from orchestrator.mix import FRAME_BYTES, Mix, MixFacts, spool
from orchestrator.models import Models
from orchestrator.scratch import Scratch
from orchestrator.segment_scheduler import SegmentScheduler, Share
from orchestrator.separator import StemSeparator
from orchestrator.sources import fetch, storage_errors
from orchestrator.tape import Tape
from orchestrator.task_errors import single_error
from orchestrator.verdict import measures_of, warnings_of
from orchestrator.watch import UNWATCHED, RunWatch, Stage
from stemcore.audio_decoder import AudioDecoder
from stemcore.errors import ErrorCode, InvalidInput, LeaseLost
from stemcore.jobs import ResultFile
from stemcore.model_card import ModelCard
from stemcore.separation_request import AudioFormat, SeparationRequest
from stemcore.storage.port import ObjectStore

CONTENT_TYPES = {AudioFormat.WAV: "audio/wav", AudioFormat.FLAC: "audio/flac"}

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
        _check_stems(request, card)
        if not await self._workshop.claims.pin(claim, _pin_of(card)):
            raise LeaseLost(str(claim.job_id))
        name = f"{claim.job_id}-{claim.lease_token}"
        async with self._workshop.scratch.run_folder(name) as folder:
            run = SeparationRun(
                workshop=self._workshop,
                claim=claim,
                request=request,
                card=card,
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
    folder: Path
    progress: Progress
    ledger: Ledger

    async def outcome(self) -> Outcome:
        """Results stored under the claim's prefix, and what is to be said about them."""
        facts = await self._mix_down()
        self.workshop.scratch.require(facts.frames * FRAME_BYTES * len(self.request.stems))
        with (
            Mix(self._mix_path, facts) as mix,
            Tape(self.folder, stems=self.request.stems, total_frames=facts.frames) as tape,
        ):
            joined, deliveries = await self._separate(mix, tape)
        return Outcome(
            results=[delivery.file for delivery in deliveries],
            ledger=self.ledger.to_dict(),
            source_facts=facts.source.to_dict(),
            measures=measures_of(joined, self.request, self.card),
            warnings=warnings_of(facts, {d.file.name: d.report for d in deliveries}),
        )

    @property
    def _mix_path(self) -> Path:
        return self.folder / "mix.pcm"

    async def _mix_down(self) -> MixFacts:
        source = self.folder / "source"
        await self.progress(0.0, stage="fetching")
        self.workshop.scratch.require(self.claim.source_bytes)
        with self.ledger.timed("fetch_s"), self.workshop.watch.stage(Stage.FETCH):
            await fetch(self.workshop.store, self.claim, source)
        await self.progress(FETCHED, stage="decoding")
        consume = partial(spool, path=self._mix_path, sample_rate_hz=self.card.sample_rate)
        with self.ledger.timed("decode_s"), self.workshop.watch.stage(Stage.DECODE):
            facts = await self.workshop.decoder.decode(source, consume)
        await asyncio.to_thread(source.unlink)
        return facts

    async def _separate(self, mix: Mix, tape: Tape) -> tuple[JoinReport, Sequence["Delivery"]]:
        plan = SegmentPlan(
            total_samples=mix.facts.frames,
            segment_samples=self.card.segment_samples,
            hop_samples=self.card.hop_samples(self.request.overlap),
        )
        engine = Engine(
            separator=self.workshop.separator,
            scheduler=self.workshop.scheduler,
            card=self.card,
            stems=self.request.stems,
            share=Share(account_id=self.claim.account_id, priority=self.claim.priority),
        )
        tell = self._teller(len(plan))
        file = self._file_format(mix.facts)
        await tell(0)
        with single_error():
            async with asyncio.TaskGroup() as group:
                deliveries = [
                    group.create_task(self._deliver(tape, stem, file), name=f"deliver {stem}")
                    for stem in self.request.stems
                ]
                with self.workshop.watch.stage(Stage.SEPARATE):
                    joined = await separate_onto_tape(
                        mix, tape, engine=engine, plan=plan, on_segment=tell
                    )
                await self.progress(SEPARATED, stage="storing")
                stored_from = monotonic()
        self.ledger.add("store_s", monotonic() - stored_from)
        self.ledger.add("inference_s", joined.inference_s)
        self.ledger.add("join_s", joined.join_s)
        self.ledger.add_segments(len(plan), max_batch_size=self.card.max_batch_size)
        return joined, [task.result() for task in deliveries]

    def _file_format(self, facts: MixFacts) -> FileFormat:
        source_hz = facts.source.sample_rate_hz
        target_hz = self.request.output.sample_rate_hz or source_hz
        frames = scaled_frames(facts.source_frames, source_hz=source_hz, target_hz=target_hz)
        return FileFormat.of(
            self.request.output,
            clip=self.request.clip,
            rate_hz=target_hz,
            frames=max(1, frames),
        )

    async def _deliver(self, tape: Tape, stem: str, file: FileFormat) -> "Delivery":
        report = DeliveryReport()
        blocks = delivered_blocks(
            tape, stem, source_hz=self.card.sample_rate, file=file, report=report
        )
        filename = f"{stem}.{file.format}"
        data = self.workshop.encoder.encode(
            blocks, file=file, scratch=self.folder / filename, report=report
        )
        with storage_errors(), self.workshop.watch.stage(Stage.STORE, subject=stem):
            stored = await self.workshop.store.put(self.claim.result_prefix + filename, data)
        self.ledger.add("encode_s", report.encode_s)
        result = ResultFile(
            name=stem,
            filename=filename,
            key=stored.key,
            content_type=CONTENT_TYPES[file.format],
            size_bytes=stored.size_bytes,
            sha256=stored.sha256,
        )
        return Delivery(file=result, report=report)

    def _teller(self, segments: int) -> Callable[[int], Awaitable[None]]:
        started = monotonic()

        async def tell(done: int) -> None:
            part = done / segments
            eta_s = (monotonic() - started) / part * (1 - part) if done else None
            fraction = DECODED + (SEPARATED - DECODED) * part
            await self.progress(fraction, stage="separating", eta_s=eta_s)

        return tell


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A stored stem and what its encoding met."""

    file: ResultFile
    report: DeliveryReport


def _check_stems(request: SeparationRequest, card: ModelCard) -> None:
    unknown = [stem for stem in request.stems if stem not in card.stem_names]
    if unknown or not request.stems:
        raise InvalidInput(
            ErrorCode.UNKNOWN_STEM,
            f"The model {card.name!r} does not make these stems.",
            details={"unknown": unknown, "stems": list(card.stem_names)},
        )


def _pin_of(card: ModelCard) -> dict[str, str]:
    return {
        "model": card.name,
        "digest": card.digest,
        "engine": card.engine,
        "precision": card.precision,
        "profile": card.profile,
    }
