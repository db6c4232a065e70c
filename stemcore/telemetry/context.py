"""What is being worked on: the ids that every log line and span of a request or a run carries."""

import re
from uuid import UUID

import structlog
from opentelemetry import trace

# Whatever a caller sends goes into logs and headers, so only plain names are taken over.
_PLAIN = re.compile(r"[A-Za-z0-9._-]{1,64}")


def is_plain_request_id(given: str) -> bool:
    """Whether a request id of somebody else's making may be used as it is."""
    return _PLAIN.fullmatch(given) is not None


def current_request_id() -> str | None:
    """The id of the request that all this goes back to."""
    return structlog.contextvars.get_contextvars().get("request_id")


def about(*, job_id: UUID | None = None, account_id: UUID | None = None) -> None:
    """Name the job or the account in what the current task logs from now on, and in its span."""
    named = {"job_id": job_id, "account_id": account_id}
    known = {name: str(value) for name, value in named.items() if value is not None}
    structlog.contextvars.bind_contextvars(**known)
    trace.get_current_span().set_attributes(
        {f"stemyard.{name}": value for name, value in known.items()}
    )


def with_trace_id(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """A processor of log lines: each leads to its trace, whoever began that, kept or not."""
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = trace.format_trace_id(context.trace_id)
    return event
