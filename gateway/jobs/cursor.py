"""Where a list goes on: opaque to clients."""

import base64
import binascii
from uuid import UUID

from stemcore.errors import ErrorCode, InvalidInput


def encode_cursor(job_id: UUID) -> str:
    """The cursor of the page after `job_id`."""
    return base64.urlsafe_b64encode(job_id.bytes).decode().rstrip("=")


def decode_cursor(cursor: str) -> UUID:
    """The last job of the page before; raises InvalidInput."""
    try:
        return UUID(bytes=base64.b64decode(cursor + "==", altchars=b"-_", validate=True))
    except (ValueError, binascii.Error):
        raise InvalidInput(
            ErrorCode.INVALID_REQUEST, "The cursor is not valid.", details={"field": "cursor"}
        ) from None
