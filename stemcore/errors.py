"""Errors with a stable code, split by what the caller does about them.

StemyardError
├── InvalidInput      the caller's data is wrong: tell them, never retry
├── NotFound          there is nothing of that name for this caller
├── Conflict          the object's state forbids it
├── Unavailable       a dependency is away: retry later
└── LeaseLost         another worker owns the job now: stop, publish nothing
"""

from collections.abc import Mapping
from enum import StrEnum


class ErrorCode(StrEnum):
    """Every code a client can meet, in a problem response or in a job's error."""

    EMPTY_FILE = "empty_file"
    UNSUPPORTED_FORMAT = "unsupported_format"
    PLAYLIST_NOT_ALLOWED = "playlist_not_allowed"
    UNREADABLE_AUDIO = "unreadable_audio"
    MALFORMED_CONTAINER = "malformed_container"
    AUDIO_TRUNCATED = "audio_truncated"
    UNSUPPORTED_CODEC = "unsupported_codec"
    SAMPLE_RATE_NOT_SUPPORTED = "sample_rate_not_supported"
    TOO_MANY_CHANNELS = "too_many_channels"
    FORMAT_CHANGES_MIDWAY = "format_changes_midway"
    NO_AUDIO_STREAM = "no_audio_stream"
    NO_SAMPLES = "no_samples"
    INVALID_SAMPLES = "invalid_samples"
    AUDIO_TOO_LONG = "audio_too_long"
    AUDIO_TOO_COMPLEX = "audio_too_complex"
    FILE_TOO_LARGE = "file_too_large"
    DECODE_TIMEOUT = "decode_timeout"
    SOURCE_MISSING = "source_missing"
    SOURCE_DAMAGED = "source_damaged"
    UNKNOWN_MODEL = "unknown_model"
    MODEL_REFUSED = "model_refused"
    UNKNOWN_STEM = "unknown_stem"
    UNSUPPORTED_OPTION = "unsupported_option"
    UNKNOWN_PRESET = "unknown_preset"
    PRESET_UNAVAILABLE = "preset_unavailable"
    INVALID_REQUEST = "invalid_request"
    REQUEST_TOO_LARGE = "request_too_large"
    REQUEST_TIMEOUT = "request_timeout"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    WEAK_PASSWORD = "weak_password"  # noqa: S105
    INVALID_CREDENTIALS = "invalid_credentials"
    INVALID_TOKEN = "invalid_token"  # noqa: S105
    TOKEN_EXPIRED = "token_expired"  # noqa: S105
    EMAIL_TAKEN = "email_taken"
    NOT_FOUND = "not_found"
    JOB_NOT_FOUND = "job_not_found"
    STEM_NOT_FOUND = "stem_not_found"
    MODEL_NOT_FOUND = "model_not_found"
    JOB_NOT_FINISHED = "job_not_finished"
    JOB_FINISHED = "job_finished"
    TOO_MANY_JOBS = "too_many_jobs"
    IDEMPOTENCY_CONFLICT = "idempotency_conflict"
    RANGE_NOT_SATISFIABLE = "range_not_satisfiable"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    SERVICE_UNAVAILABLE = "service_unavailable"
    ENGINE_UNAVAILABLE = "engine_unavailable"
    ENGINE_FAILED = "engine_failed"
    STORAGE_UNAVAILABLE = "storage_unavailable"
    DECODER_UNAVAILABLE = "decoder_unavailable"
    SCRATCH_FULL = "scratch_full"
    TOO_MANY_ATTEMPTS = "too_many_attempts"
    INTERNAL_ERROR = "internal_error"


class StemyardError(Exception):
    """An error a person may see: a stable code, a sentence, and facts about this case."""

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        *,
        details: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = dict(details or {})


class InvalidInput(StemyardError):
    """The caller's data is wrong; the same call will fail again."""


class NotFound(StemyardError):
    """There is nothing of that name for this caller."""


class Conflict(StemyardError):
    """The object's present state forbids the operation."""


class Unavailable(StemyardError):
    """A dependency is away or failing; the same call may succeed later."""


class LeaseLost(Exception):
    """Another worker owns the job now, or it was cancelled: stop and publish nothing."""
