"""The one way in which a source is refused."""

from typing import Any


class Refusal(Exception):
    """The source cannot be used: a stable code, a sentence, facts."""

    def __init__(self, code: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.packet: dict[str, Any] = {
            "event": "failed",
            "code": code,
            "message": message,
            "details": details,
        }
