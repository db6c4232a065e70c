"""Text from outside that may go into the database."""

from typing import Annotated

from pydantic import AfterValidator


def require_storable(text: str) -> str:
    """Refuse what PostgreSQL and UTF-8 cannot hold, and characters that steer terminals."""
    if any(ord(char) < 0x20 or ord(char) == 0x7F or 0xD800 <= ord(char) <= 0xDFFF for char in text):
        raise ValueError("control characters are not allowed")
    return text


StorableText = Annotated[str, AfterValidator(require_storable)]
