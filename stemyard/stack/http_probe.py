"""One quick GET to a server on this machine."""

import ssl

import httpx

_TIMEOUT_S = 3.0


async def get(address: str) -> httpx.Response:
    """Raises httpx.HTTPError."""
    # Loading the machine's certificates costs tens of milliseconds, and there is no TLS here.
    nobody_trusted = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    async with httpx.AsyncClient(
        timeout=_TIMEOUT_S, trust_env=False, verify=nobody_trusted
    ) as client:
        return await client.get(address)


async def is_well(address: str) -> bool:
    """Whether it answers, and with success."""
    try:
        answer = await get(address)
    except httpx.HTTPError:
        return False
    return answer.is_success
