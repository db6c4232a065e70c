"""Jobs that other systems ask for by message, on songs that lie in the object store already."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated
from uuid import UUID, uuid5

from pydantic import Field, field_validator

from orchestrator.dispatch import queue
from orchestrator.intake import Effect
from orchestrator.patience import Patience
from orchestrator.sources import storage_errors
from stemcore.catalogue.port import ModelCatalogue
from stemcore.database import job_log
from stemcore.errors import ErrorCode, InvalidInput, Unavailable
from stemcore.ids import new_id
from stemcore.jobs import JobStatus
from stemcore.messages import KnownMessage, SubmitJob
from stemcore.planning import plan
from stemcore.separation_request import SEPARATION, SeparationRequest
from stemcore.settings import SettingsSection
from stemcore.storage.keys import key_parts
from stemcore.storage.port import ObjectMissing, ObjectStore
from stemcore.submission import SubmissionFields, checked
from stemcore.telemetry.traces import carrier

if TYPE_CHECKING:
    from stemcore.database.pool import PooledConnection

# What a model that is being loaded looks like.
_MAY_PASS = (ErrorCode.UNKNOWN_MODEL, ErrorCode.PRESET_UNAVAILABLE)
# Where the service keeps what is its own.
_OURS = ("sources/", "results/", "temporary/", "uploads/")


class ServiceAccount(SettingsSection):
    """The account that a system's jobs belong to, and where its songs must lie."""

    email: str
    prefix: Annotated[str, Field(pattern="^[^/].*/$")]

    @field_validator("prefix")
    @classmethod
    def _nobody_elses(cls, value: str) -> str:
        key_parts(value.removesuffix("/"))
        if value.startswith(_OURS):
            raise ValueError(f"{' '.join(_OURS)} hold what belongs to all accounts")
        return value


class SubmissionSettings(SettingsSection):
    """Who may submit by message, by the name in the message. `model_patience_s` is how long a
    submission waits for a model that is not loaded, with those behind it, before it is refused."""

    accounts: Mapping[str, ServiceAccount] = {}
    default_model: str = "stemyard-mini"
    model_patience_s: float = Field(default=30.0, ge=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Checked:
    submission: SubmitJob
    account: ServiceAccount
    fields: SubmissionFields
    request: SeparationRequest
    source_bytes: int


class Submissions:
    """A Reader of `SubmitJob`."""

    def __init__(
        self,
        settings: SubmissionSettings,
        *,
        catalogue: ModelCatalogue,
        store: ObjectStore,
        max_source_bytes: int,
    ) -> None:
        self._settings = settings
        self._catalogue = catalogue
        self._store = store
        self._max_source_bytes = max_source_bytes
        self._patience = Patience(length_s=settings.model_patience_s)

    def identity_of(self, message: KnownMessage) -> UUID:
        """The sender's id, which another system may have used for something else."""
        sender = message.service_account if isinstance(message, SubmitJob) else message.type
        return uuid5(message.event_id, sender)

    async def effect_of(self, message: KnownMessage) -> Effect:
        """The job is written down and queued."""
        if not isinstance(message, SubmitJob):
            raise _refused(f"A {message.type} does not belong on this topic.")
        wanted = await self._checked(message)

        async def effect(connection: "PooledConnection") -> UUID | None:
            return await _accept(connection, wanted)

        return effect

    async def _checked(self, submission: SubmitJob) -> _Checked:
        account = self._settings.accounts.get(submission.service_account)
        if account is None:
            raise _refused(f"There is no service account {submission.service_account!r}.")
        _require_permitted(submission.source_key, account)
        fields = _fields_of(submission)
        request = await self._planned(fields)
        return _Checked(
            submission=submission,
            account=account,
            fields=fields,
            request=request,
            source_bytes=await self._size_of(submission.source_key),
        )

    async def _planned(self, fields: SubmissionFields) -> SeparationRequest:
        """Raises Unavailable while a model that is not there may be loading."""
        wanted = fields.model or fields.preset or self._settings.default_model
        models = await self._catalogue.models()
        try:
            request = plan(fields, models, default_model=self._settings.default_model)
        except InvalidInput as refusal:
            if refusal.code in _MAY_PASS and self._patience.lasts(wanted):
                raise Unavailable(ErrorCode.ENGINE_UNAVAILABLE, refusal.message) from refusal
            raise
        self._patience.found(wanted)
        return request

    async def _size_of(self, key: str) -> int:
        with storage_errors():
            try:
                size_bytes = await self._store.size_bytes(key)
            except ObjectMissing:
                raise _refused(f"There is no object {key!r}.") from None
            except ValueError as error:
                # A store may keep names for itself.
                raise _refused(str(error)) from None
        if size_bytes == 0:
            raise InvalidInput(ErrorCode.EMPTY_FILE, "The file is empty.")
        if size_bytes > self._max_source_bytes:
            raise InvalidInput(
                ErrorCode.FILE_TOO_LARGE,
                "The file is larger than allowed.",
                details={"size_bytes": size_bytes, "max_bytes": self._max_source_bytes},
            )
        return size_bytes


def _require_permitted(key: str, account: ServiceAccount) -> None:
    try:
        key_parts(key)
    except ValueError as error:
        raise _refused(str(error)) from None
    if not key.startswith(account.prefix):
        raise _refused(f"The object {key!r} does not lie below {account.prefix!r}.")


def _fields_of(submission: SubmitJob) -> SubmissionFields:
    beside = {"priority": submission.priority, "metadata": submission.metadata}
    if misplaced := beside.keys() & submission.parameters.keys():
        raise _refused(f"{', '.join(sorted(misplaced))} stand beside the parameters, not in them.")
    return checked({**submission.parameters, **beside})


async def _accept(connection: "PooledConnection", wanted: _Checked) -> UUID:
    # The lock that writing the job's row takes: a weaker one first could end in a deadlock.
    account_id = await connection.fetchval(
        "SELECT id FROM accounts WHERE lower(email) = lower($1) FOR NO KEY UPDATE",
        wanted.account.email,
    )
    if account_id is None:
        raise _refused(f"The account {wanted.account.email!r} does not exist.")
    job_id, submission = new_id(), wanted.submission
    await connection.execute(
        """
        INSERT INTO jobs (id, account_id, kind, status, parameters, metadata, priority, source_key,
                          source_name, source_bytes, source_sha256, trace_context)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
        """,
        job_id,
        account_id,
        SEPARATION,
        JobStatus.ACCEPTED.value,
        wanted.request.to_dict(),
        wanted.fields.metadata,
        wanted.fields.priority,
        submission.source_key,
        submission.filename,
        wanted.source_bytes,
        submission.source_sha256,
        carrier(),
    )
    await job_log.append_accepted(
        connection,
        job_id,
        account_id=account_id,
        data={"source": submission.filename, "submission": str(submission.event_id)},
    )
    await queue(connection, job_id)
    return job_id


def _refused(message: str) -> InvalidInput:
    return InvalidInput(ErrorCode.INVALID_REQUEST, message)
