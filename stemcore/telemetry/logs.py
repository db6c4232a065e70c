"""Logs are events: one JSON object a line on stderr, a snake_case name plus fields."""

import logging
import sys
from collections.abc import Callable, Sequence
from time import monotonic

import structlog


def configure_logs(
    *, service: str, level: str = "INFO", also: Sequence[structlog.typing.Processor] = ()
) -> None:
    """Send structlog's and the standard library's records of this process to stderr as JSON."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        *also,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.JSONRenderer(),
        ],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=level, force=True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)


class Seldom(logging.Filter):
    """Lets one record through, and then none for a while."""

    def __init__(self, *, every_s: float, clock: Callable[[], float] = monotonic) -> None:
        super().__init__()
        self._every_s = every_s
        self._clock = clock
        self._silent_until = clock()

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002
        """Whether this record is let through."""
        now = self._clock()
        if now < self._silent_until:
            return False
        self._silent_until = now + self._every_s
        return True
