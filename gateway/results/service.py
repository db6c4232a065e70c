"""Finding the files of a job that has succeeded."""

from collections.abc import AsyncIterator
from uuid import UUID

from gateway.jobs.job import Job
from gateway.jobs.repository import JobRepository
from gateway.results.archive import Archive, ArchiveMember
from gateway.results.byte_range import ByteRange
from gateway.results.file_names import archive_name, content_disposition, download_name
from stemcore.errors import Conflict, ErrorCode, NotFound
from stemcore.jobs import ResultFile
from stemcore.storage.port import ObjectStore, Presigner


class ResultService:
    """Opens results for their owner."""

    def __init__(
        self,
        jobs: JobRepository,
        *,
        store: ObjectStore,
        presigner: Presigner | None,
        presigned_lifetime_s: int,
    ) -> None:
        self._jobs = jobs
        self._store = store
        self._presigner = presigner
        self._presigned_lifetime_s = presigned_lifetime_s

    async def stem(self, account_id: UUID, job_id: UUID, name: str) -> tuple[str, ResultFile]:
        """The name to download a stem by, and the stem; raises NotFound and Conflict."""
        job = await self._finished(account_id, job_id)
        for result in job.results:
            if result.name == name:
                await self._require_there(result)
                return download_name(job.source_name, result), result
        raise NotFound(
            ErrorCode.STEM_NOT_FOUND,
            "The job has no such stem.",
            details={"stems": [result.name for result in job.results]},
        )

    async def archive(self, account_id: UUID, job_id: UUID) -> tuple[str, Archive]:
        """The name to download the archive by, and the archive; raises NotFound and Conflict."""
        job = await self._finished(account_id, job_id)
        if not job.results:
            raise NotFound(ErrorCode.STEM_NOT_FOUND, "The job has no results.")
        for result in job.results:
            await self._require_there(result)
        members = [
            ArchiveMember(
                name=download_name(job.source_name, result),
                key=result.key,
                size_bytes=result.size_bytes,
            )
            for result in job.results
        ]
        return archive_name(job.source_name, job.results), Archive(self._store, members)

    def read(self, result: ResultFile, wanted: ByteRange | None) -> AsyncIterator[bytes]:
        """The bytes of a result, or of a range of it."""
        if wanted is None:
            return self._store.read(result.key)
        return self._store.read(result.key, start=wanted.start, stop=wanted.stop)

    def address(self, result: ResultFile, *, name: str) -> str | None:
        """Where to fetch a result from the store itself under that name; None where that is not
        wanted."""
        if self._presigner is None:
            return None
        return self._presigner.presigned_url(
            result.key,
            content_disposition=content_disposition(name),
            content_type=result.content_type,
            expires_s=self._presigned_lifetime_s,
        )

    async def _require_there(self, result: ResultFile) -> None:
        """Raise ObjectMissing or StorageError now: once a response has begun it is too late."""
        await self._store.size_bytes(result.key)

    async def _finished(self, account_id: UUID, job_id: UUID) -> Job:
        job = await self._jobs.find(account_id, job_id)
        if not job.status.is_terminal:
            raise Conflict(
                ErrorCode.JOB_NOT_FINISHED,
                "The job has not finished yet.",
                details={"status": job.status.value, "progress": job.progress},
            )
        return job
