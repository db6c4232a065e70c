"""One quick GET to a server on this machine."""

import ssl
from pathlib import Path

import httpx

_TIMEOUT_S = 3.0


async def get(address: str, *, authority: Path | None = None) -> httpx.Response:
    """`authority` is a PEM file, for an https address. Raises httpx.HTTPError."""
    # Loading the machine's certificates costs tens of milliseconds, and nobody needs them here.
    trusted = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if authority is not None:
        trusted.load_verify_locations(authority)
    async with httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=False, verify=trusted) as client:
        return await client.get(address)


async def is_well(address: str, *, authority: Path | None = None) -> bool:
    """Whether it answers, and with success."""
    try:
        answer = await get(address, authority=authority)
    except httpx.HTTPError:
        return False
    return answer.is_success
