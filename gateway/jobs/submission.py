"""Accepting a song: stored, looked into, and written down, or nothing at all."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

import structlog

from gateway.catalogue.service import CatalogueService
from gateway.jobs.fields import parse_fields
from gateway.jobs.form import Texts
from gateway.jobs.job import Job, NewJob, source_prefix
from gateway.jobs.multipart import Part
from gateway.jobs.reception import ReceivedForm, measured, receive, unchecked
from gateway.jobs.repository import IdempotencyKeyTaken, JobRepository
from gateway.jobs.source_probe import SourceProbe
from stemcore.audio_decoder import SourceFacts
from stemcore.errors import Conflict, ErrorCode, InvalidInput, NotFound, Unavailable
from stemcore.ids import new_id
from stemcore.planning import choose_model, choose_stems, plan
from stemcore.presets import find_preset
from stemcore.separation_request import SEPARATION
from stemcore.storage.port import ObjectStore, StorageError, StoredObject
from stemcore.tasks import to_its_end
from stemcore.telemetry.context import about

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """The job, and whether an earlier submission with the same key made it."""

    job: Job
    replayed: bool


@dataclass(slots=True, kw_only=True)
class StagedSource:
    """A source that is deleted again unless somebody keeps it."""

    key: str
    kept: bool = False


class SubmissionService:
    """Turns a form into a durable job."""

    def __init__(
        self,
        jobs: JobRepository,
        *,
        store: ObjectStore,
        probe: SourceProbe,
        catalogue: CatalogueService,
        default_model: str,
        max_upload_bytes: int,
    ) -> None:
        self._jobs = jobs
        self._store = store
        self._probe = probe
        self._catalogue = catalogue
        self._default_model = default_model
        self._max_upload_bytes = max_upload_bytes

    async def submit(
        self, account_id: UUID, parts: AsyncIterator[Part], *, idempotency_key: str | None
    ) -> Submitted:
        """The accepted job, durable; whatever raises leaves nothing behind.

        Raises InvalidInput, Conflict for a key used with another form, LimitReached, Unavailable.
        """
        if idempotency_key is not None:
            earlier = await self._jobs.find_by_idempotency_key(account_id, idempotency_key)
            if earlier is not None:
                form = await self._received_again(parts)
                return _replayed(earlier, digest=form.digest)
        return await self._accept(account_id, parts, idempotency_key=idempotency_key)

    async def _accept(
        self, account_id: UUID, parts: AsyncIterator[Part], *, idempotency_key: str | None
    ) -> Submitted:
        await self._jobs.require_room(account_id)
        job_id = new_id()
        about(job_id=job_id)
        async with self._staged(source_prefix(job_id)) as staged:
            form = await self._received(parts, key=staged.key)
            job = await self._described(form, account_id, job_id, key=idempotency_key)
            try:
                await to_its_end(self._record(job, staged))
            except IdempotencyKeyTaken:
                return await self._replayed_beside(job)
        return Submitted(job=await self._jobs.find(account_id, job_id), replayed=False)

    async def _received(self, parts: AsyncIterator[Part], *, key: str) -> ReceivedForm:
        async def store(chunks: AsyncIterator[bytes]) -> StoredObject:
            return await self._store.put(key, chunks)

        return await receive(
            parts, sink=store, check=self._refuse_early, max_bytes=self._max_upload_bytes
        )

    async def _received_again(self, parts: AsyncIterator[Part]) -> ReceivedForm:
        return await receive(
            parts, sink=measured, check=unchecked, max_bytes=self._max_upload_bytes
        )

    async def _refuse_early(self, so_far: Texts) -> None:
        """Spare the upload where what came before the file is already wrong."""
        fields = parse_fields(so_far)
        if fields.preset is not None:
            find_preset(fields.preset)
        if fields.model is not None:
            models = await self._catalogue.known_models()
            model = choose_model(fields.model, models, default_model=self._default_model)
            choose_stems(fields.stems, model)

    async def _described(
        self, form: ReceivedForm, account_id: UUID, job_id: UUID, *, key: str | None
    ) -> NewJob:
        fields = parse_fields(form.texts)
        models = await self._catalogue.known_models()
        request = plan(fields, models, default_model=self._default_model)
        facts = await self._probed(form.source)
        return NewJob(
            id=job_id,
            account_id=account_id,
            kind=SEPARATION,
            parameters=request.to_dict(),
            metadata=fields.metadata,
            priority=fields.priority,
            idempotency_key=key,
            idempotency_digest=form.digest if key is not None else None,
            source_key=form.source.key,
            source_name=form.source_name,
            source_bytes=form.source.size_bytes,
            source_sha256=form.source.sha256,
            source_facts=facts.to_dict(),
            ledger={"upload_s": round(form.upload_s, 3)},
        )

    async def _probed(self, source: StoredObject) -> SourceFacts:
        if source.size_bytes == 0:
            raise InvalidInput(ErrorCode.EMPTY_FILE, "The file is empty.")
        return await self._probe.facts(source.key)

    async def _record(self, job: NewJob, staged: StagedSource) -> None:
        try:
            await self._jobs.add(job)
        except Unavailable:
            # The commit may have landed although its answer was lost: then the source must stay.
            staged.kept = True
            staged.kept = await self._exists(job)
            if not staged.kept:
                raise
        staged.kept = True

    async def _exists(self, job: NewJob) -> bool:
        try:
            await self._jobs.find(job.account_id, job.id)
        except NotFound:
            return False
        return True

    async def _replayed_beside(self, job: NewJob) -> Submitted:
        """Another request with the same key was faster."""
        earlier = await self._jobs.find_by_idempotency_key(
            job.account_id, job.idempotency_key or ""
        )
        if earlier is None:
            raise Unavailable(ErrorCode.SERVICE_UNAVAILABLE, "Please repeat the request.")
        return _replayed(earlier, digest=job.idempotency_digest)

    @asynccontextmanager
    async def _staged(self, prefix: str) -> AsyncGenerator[StagedSource]:
        staged = StagedSource(key=f"{prefix}original")
        try:
            yield staged
        finally:
            if not staged.kept:
                await to_its_end(self._discard(prefix))

    async def _discard(self, prefix: str) -> None:
        try:
            await self._store.delete_prefix(prefix)
        except StorageError as error:
            _log.error("source_left_behind", prefix=prefix, reason=str(error))


def _replayed(earlier: Job, *, digest: str | None) -> Submitted:
    if earlier.idempotency_digest != digest:
        raise Conflict(
            ErrorCode.IDEMPOTENCY_CONFLICT,
            "This Idempotency-Key was used for another submission.",
            details={"job_id": str(earlier.id)},
        )
    return Submitted(job=earlier, replayed=True)
