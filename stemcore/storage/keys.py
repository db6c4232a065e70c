"""What a key may look like, in every store alike."""

from collections.abc import Sequence


def key_parts(key: str) -> Sequence[str]:
    """The names between the slashes; raises ValueError for what could lead astray."""
    parts = key.split("/")
    if any(part in ("", ".", "..") for part in parts) or not (key.isascii() and key.isprintable()):
        raise ValueError(f"not an object key: {key!r}")
    return parts
