"""What can go wrong with a broker, split by who can do something about it.

Unavailable
├── BusAway      nobody answers: wait
└── BusRefused   somebody answers and refuses: look at the settings, it says at which
"""

from stemcore.errors import ErrorCode, Unavailable


class BusAway(Unavailable):
    """Nobody answers, or not in time."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            ErrorCode.SERVICE_UNAVAILABLE, f"The message broker does not answer: {reason}"
        )


class BusRefused(Unavailable):
    """The broker will not have us, whatever we repeat."""

    def __init__(self, reason: str) -> None:
        super().__init__(ErrorCode.SERVICE_UNAVAILABLE, f"The message broker refuses us: {reason}")
