"""Identifiers that sort by time."""

from uuid import UUID

from uuid_utils import compat


def new_id() -> UUID:
    """A UUIDv7 (RFC 9562): opaque to clients, ordered by creation for indexes."""
    return compat.uuid7()
