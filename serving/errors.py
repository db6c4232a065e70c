"""What can go wrong while Triton is prepared and spoken to.

ServingError
├── ServerMissing       the wheel's server, or a library it needs, is not on this machine
├── ModelRefused        a model does not hold what its card promises; the others go on
└── AdminRequestFailed  the running server turned a load or unload down, or cannot be reached
"""

from enum import StrEnum


class ServingError(Exception):
    """Anything this package reports; its text is meant for a person."""


class ServerMissing(ServingError):
    """Nothing can be served here until the named thing is installed."""


class RefusalReason(StrEnum):
    """Why a model is not loaded; stable, for logs and alerts."""

    CONFIG_MISSING = "config_missing"
    CONFIG_UNREADABLE = "config_unreadable"
    NAME_DIFFERS = "name_differs"
    BACKEND_NOT_ALLOWED = "backend_not_allowed"
    CARD_MISSING = "card_missing"
    CARD_UNREADABLE = "card_unreadable"
    CARDS_DIFFER = "cards_differ"
    FILE_OUTSIDE_MODEL = "file_outside_model"
    FILE_MISSING = "file_missing"
    DIGEST_DIFFERS = "digest_differs"
    VERSION_MISSING = "version_missing"
    ENGINE_NOT_PROVEN = "engine_not_proven"
    ENGINE_NOT_HERE = "engine_not_here"
    CONFIG_DIFFERS = "config_differs"
    PART_REFUSED = "part_refused"
    PART_DIFFERS = "part_differs"
    PART_ALONE = "part_alone"


class ModelRefused(ServingError):
    """One model must not be loaded."""

    def __init__(self, reason: RefusalReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class AdminRequestFailed(ServingError):
    """The server's answer is the text."""
