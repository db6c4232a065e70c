"""What an owner can do with jobs that are there."""

from dataclasses import dataclass
from uuid import UUID

import structlog

from gateway.jobs.job import Job, JobFilter, results_prefix, source_prefix
from gateway.jobs.repository import JobRepository
from stemcore.errors import Unavailable
from stemcore.storage.port import ObjectStore, StorageError

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPage:
    """Some jobs, and whether there are older ones."""

    jobs: tuple[Job, ...]
    more: bool


class JobService:
    """Shows, cancels and deletes an account's jobs."""

    def __init__(self, jobs: JobRepository, *, store: ObjectStore) -> None:
        self._jobs = jobs
        self._store = store

    async def get(self, account_id: UUID, job_id: UUID) -> Job:
        """The job; raises NotFound."""
        return await self._jobs.find(account_id, job_id)

    async def list(self, account_id: UUID, wanted: JobFilter) -> JobPage:
        """A page of jobs, newest first."""
        found = await self._jobs.list(account_id, wanted)
        return JobPage(jobs=tuple(found[: wanted.limit]), more=len(found) > wanted.limit)

    async def cancel(self, account_id: UUID, job_id: UUID) -> Job:
        """The cancelled job; raises NotFound, and Conflict when it has ended otherwise."""
        await self._jobs.cancel(account_id, job_id)
        return await self._jobs.find(account_id, job_id)

    async def delete(self, account_id: UUID, job_id: UUID) -> None:
        """Forget the job and delete its objects; raises NotFound.

        The prefixes stay doomed, for the sweeper, while a worker may still write below them.
        """
        worker_may_write = await self._jobs.delete(account_id, job_id)
        prefixes = (source_prefix(job_id), results_prefix(job_id))
        try:
            for prefix in prefixes:
                await self._store.delete_prefix(prefix)
            if not worker_may_write:
                await self._jobs.forget_prefixes(*prefixes)
        except (StorageError, Unavailable) as error:
            # The job is gone all the same: to say otherwise would have it asked for again.
            _log.warning("objects_left_to_sweeper", job_id=str(job_id), reason=str(error))
