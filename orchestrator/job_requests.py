"""Jobs that the gateway has accepted, as messages tell of them."""

from typing import TYPE_CHECKING
from uuid import UUID

import structlog

from orchestrator.dispatch import queue
from orchestrator.intake import Effect
from stemcore.errors import ErrorCode, InvalidInput
from stemcore.messages import JobRequested, KnownMessage

if TYPE_CHECKING:
    from stemcore.database.pool import PooledConnection

_log = structlog.get_logger(__name__)


class JobRequests:
    """A Reader of `JobRequested`."""

    def identity_of(self, message: KnownMessage) -> UUID:
        """The sender's id."""
        return message.event_id

    async def effect_of(self, message: KnownMessage) -> Effect:
        """The job is queued, if it still waits to be."""
        if not isinstance(message, JobRequested):
            raise InvalidInput(
                ErrorCode.INVALID_REQUEST, f"A {message.type} does not belong on this topic."
            )
        job_id = message.job_id

        async def effect(connection: "PooledConnection") -> UUID | None:
            if await queue(connection, job_id):
                return job_id
            _log.info("job_not_queueable", job_id=str(job_id))
            return None

        return effect
