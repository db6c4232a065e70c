"""Jobs as JSON."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from gateway.jobs.cursor import encode_cursor
from gateway.jobs.job import Job
from gateway.jobs.service import JobPage
from stemcore.jobs import JobStatus, ResultFile
from stemcore.submission import SubmissionFields

EXAMPLE_ID = "019a6d3c-6d0a-7c1e-8c54-a4ad6fd7b3f1"
EXAMPLE_JOB: dict[str, Any] = {
    "id": EXAMPLE_ID,
    "kind": "separation",
    "status": "succeeded",
    "stage": "done",
    "progress": 1.0,
    "run": 1,
    "queue_position": None,
    "eta_s": None,
    "error": None,
    "warnings": [],
    "source": {
        "name": "song.mp3",
        "size_bytes": 4821022,
        "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "duration_s": 241.32,
        "sample_rate_hz": 44100,
        "channels": 2,
        "codec": "mp3",
        "container": "mp3",
    },
    "parameters": {
        "model": "stemyard-mini",
        "stems": ["drums", "no_drums"],
        "output": {"format": "wav", "bit_depth": 24, "sample_rate": None},
        "overlap": None,
        "clip": "clamp",
        "complement": "subtract",
        "shifts": 0,
        "seed": 0,
        "consistency": False,
        "preset": None,
    },
    "priority": 0,
    "metadata": {"album": "First"},
    "results": [
        {
            "name": "drums",
            "filename": "drums.wav",
            "content_type": "audio/wav",
            "size_bytes": 63853316,
            "sha256": "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
            "made_by": "model",
            "href": f"/v1/jobs/{EXAMPLE_ID}/stems/drums",
        },
        {
            "name": "no_drums",
            "filename": "no_drums.wav",
            "content_type": "audio/wav",
            "size_bytes": 63853316,
            "sha256": "486ea46224d1bb4fb680f34f7c9ad96a8f24ec88be73ea8e5a6c65260e9cb8a7",
            "made_by": "subtraction",
            "href": f"/v1/jobs/{EXAMPLE_ID}/stems/no_drums",
        },
    ],
    "archive_href": f"/v1/jobs/{EXAMPLE_ID}/archive",
    "events_href": f"/v1/jobs/{EXAMPLE_ID}/events",
    "null_depth_db": None,
    "measures": {},
    "ledger": {"upload_s": 0.4, "queue_s": 0.1, "decode_s": 1.2, "inference_s": 30.5},
    "created_at": "2026-11-21T12:00:00Z",
    "updated_at": "2026-11-21T12:00:40Z",
    "queued_at": "2026-11-21T12:00:01Z",
    "started_at": "2026-11-21T12:00:02Z",
    "finished_at": "2026-11-21T12:00:40Z",
    "expires_at": None,
}


class SourceResponse(BaseModel):
    """The song as it came; what the decoder says of it is provisional until the job has run."""

    name: str
    size_bytes: int
    sha256: str | None = Field(
        description="Absent where another system submitted the song by message, without it."
    )
    duration_s: float | None = None
    sample_rate_hz: int | None = None
    channels: int | None = None
    codec: str | None = None
    container: str | None = None


class ResultResponse(BaseModel):
    """One file to download."""

    name: str
    filename: str
    content_type: str
    size_bytes: int
    sha256: str
    made_by: str = Field(
        description="`model`: a stem as the model gave it. A complement was made by `subtraction` "
        "from the song or as the `sum` of the other stems."
    )
    href: str

    @classmethod
    def of(cls, result: ResultFile, *, job_id: UUID) -> "ResultResponse":
        """The JSON form."""
        return cls(
            name=result.name,
            filename=result.filename,
            content_type=result.content_type,
            size_bytes=result.size_bytes,
            sha256=result.sha256,
            made_by=result.made_by or "model",
            href=f"/v1/jobs/{job_id}/stems/{result.name}",
        )


class JobErrorResponse(BaseModel):
    """Why a job failed."""

    error_code: str = Field(description="Of the same list as the codes of problems.")
    message: str
    details: dict[str, Any] = {}

    @classmethod
    def of(cls, error: Mapping[str, Any]) -> "JobErrorResponse":
        """The JSON form of what the job's run wrote down."""
        return cls(
            error_code=error.get("error_code") or error.get("code") or "internal_error",
            message=error.get("message", ""),
            details=error.get("details") or {},
        )


class JobResponse(BaseModel):
    """A job."""

    model_config = ConfigDict(json_schema_extra={"example": EXAMPLE_JOB})

    id: UUID
    kind: str
    status: JobStatus
    stage: str = Field(description="What the run is doing; free text of few values.")
    progress: float = Field(description="From 0 to 1.")
    run: int = Field(description="Counts from 1; a retry starts the next.")
    queue_position: int | None = Field(description="1 is next; while accepted or queued.")
    eta_s: float | None = Field(description="Reckoned from progress, while running.")
    error: JobErrorResponse | None
    warnings: list[Any]
    source: SourceResponse
    parameters: dict[str, Any] = Field(description="As they will be run, defaults filled in.")
    priority: int
    metadata: dict[str, Any]
    results: list[ResultResponse]
    archive_href: str | None = Field(description="All results in one ZIP.")
    events_href: str
    null_depth_db: float | None = Field(
        description="How far the sum of all stems lies from the song, as a signal-to-error ratio; "
        "with `consistency`, of the files as they are decoded."
    )
    measures: dict[str, Any] = Field(description="Figures measured on the results.")
    ledger: dict[str, Any] = Field(
        description="Where the time went (`..._s`: seconds), and the batches met."
    )
    created_at: datetime
    updated_at: datetime
    queued_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    expires_at: datetime | None

    @classmethod
    def of(cls, job: Job) -> "JobResponse":
        """The JSON form."""
        return cls(
            id=job.id,
            kind=job.kind,
            status=job.status,
            stage=job.stage,
            progress=job.progress,
            run=job.run,
            queue_position=job.queue_position,
            eta_s=None if job.eta_s is None else round(job.eta_s, 1),
            error=None if job.error is None else JobErrorResponse.of(job.error),
            warnings=list(job.warnings),
            source=_source(job),
            parameters=dict(job.parameters),
            priority=job.priority,
            metadata=dict(job.metadata),
            results=[ResultResponse.of(result, job_id=job.id) for result in job.results],
            archive_href=f"/v1/jobs/{job.id}/archive" if job.results else None,
            events_href=f"/v1/jobs/{job.id}/events",
            null_depth_db=job.measures.get("null_depth_db"),
            measures=dict(job.measures),
            ledger=dict(job.ledger),
            created_at=job.created_at,
            updated_at=job.updated_at,
            queued_at=job.queued_at,
            started_at=job.started_at,
            finished_at=job.finished_at,
            expires_at=job.expires_at,
        )

    @classmethod
    def as_accepted(cls, job: Job) -> "JobResponse":
        """The job as its first answer showed it, whatever has become of it since."""
        return cls.of(job).model_copy(
            update={
                "status": JobStatus.ACCEPTED,
                "stage": JobStatus.ACCEPTED.value,
                "progress": 0.0,
                "run": 1,
                "queue_position": None,
                "eta_s": None,
                "error": None,
                "warnings": [],
                "results": [],
                "archive_href": None,
                "null_depth_db": None,
                "measures": {},
                "ledger": {"upload_s": job.ledger.get("upload_s", 0.0)},
                "updated_at": job.created_at,
                "queued_at": None,
                "started_at": None,
                "finished_at": None,
                "expires_at": None,
            }
        )


def _source(job: Job) -> SourceResponse:
    facts = job.source_facts or {}
    return SourceResponse(
        name=job.source_name,
        size_bytes=job.source_bytes,
        sha256=job.source_sha256,
        duration_s=facts.get("duration_s"),
        sample_rate_hz=facts.get("sample_rate_hz"),
        channels=facts.get("channels"),
        codec=facts.get("codec"),
        container=facts.get("container"),
    )


class JobListResponse(BaseModel):
    """A page of jobs, newest first."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"items": [EXAMPLE_JOB], "next_cursor": None}}
    )

    items: list[JobResponse]
    next_cursor: str | None = Field(description="Send it as `cursor` for the next page.")

    @classmethod
    def of(cls, page: JobPage) -> "JobListResponse":
        """The JSON form."""
        return cls(
            items=[JobResponse.of(job) for job in page.jobs],
            next_cursor=encode_cursor(page.jobs[-1].id) if page.more else None,
        )


class SubmissionForm(SubmissionFields):
    """The form of a submission; its fields may come in any order.

    `output` is a JSON object, or comes as fields of its own: `output.format`, `output.bit_depth`,
    `output.sample_rate`. `metadata` is a JSON object.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "file": "(the bytes of song.mp3)",
                "model": "stemyard-mini",
                "stems": ["vocals", "instrumental"],
                "output": {"format": "flac", "bit_depth": 16, "sample_rate": "source"},
                "metadata": {"album": "First"},
            }
        }
    )

    file: Annotated[
        str,
        Field(
            description="The song: WAV, MP3, FLAC, OGG, Opus, M4A/AAC, AIFF, CAF, WebM, MP4.",
            json_schema_extra={"format": "binary"},
        ),
    ]
