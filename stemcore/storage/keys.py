"""What a key may look like, in every store alike."""

from collections.abc import Sequence

# What file systems, and MinIO on them, take as a name, and S3 as a key.
MAX_NAME_BYTES = 255
MAX_KEY_BYTES = 1024


def key_parts(key: str) -> Sequence[str]:
    """The names between the slashes; raises ValueError for what could lead astray."""
    parts = key.split("/")
    if not (key.isascii() and key.isprintable() and len(key) <= MAX_KEY_BYTES):
        raise ValueError(f"not an object key: {key!r}")
    if any(part in ("", ".", "..") or len(part) > MAX_NAME_BYTES for part in parts):
        raise ValueError(f"not an object key: {key!r}")
    return parts
