"""`make up`: the stack until Ctrl-C, and all one needs to try it."""

import asyncio
import shlex

from rich.console import Console

from stemyard.client import StemyardClient
from stemyard.stack.one_machine import OneMachineStack, one_machine_stack
from stemyard.stack.runtime import locked
from stemyard.stack.settings import ROOT, StackSettings

DEMO_EMAIL = "test@example.com"
DEMO_PASSWORD = "password123"  # noqa: S105 - published, and only in a stack on loopback


async def stay_up(settings: StackSettings, *, console: Console) -> None:
    """Returns only by being cancelled; raises StackError when a process cannot be kept running."""
    console.print("starting PostgreSQL, Triton, gateway and orchestrator")
    with locked(ROOT / ".stack" / "up") as runtime:
        async with one_machine_stack(settings, runtime=runtime) as stack:
            await _tell(stack, console=console)
            await asyncio.Event().wait()


async def _tell(stack: OneMachineStack, *, console: Console) -> None:
    async with StemyardClient(stack.gateway.address) as client:
        token = await client.sign_in(email=DEMO_EMAIL, password=DEMO_PASSWORD)
    address = stack.gateway.address
    lines = (
        f"address  {address}",
        f"docs     {address}/docs",
        f"logs     {stack.runtime.logs}",
        f"token    {token}",
        f"         (of {DEMO_EMAIL}, password {DEMO_PASSWORD})",
        "",
        "Separate a song (any audio file):",
        f"  {_curl(address, token, 'song.mp3')}",
        "",
        "Ctrl-C stops everything.",
    )
    # Neither wrapped nor coloured, so that it can be pasted.
    for line in lines:
        console.print(line, soft_wrap=True, markup=False, highlight=False)


def _curl(address: str, token: str, song: str) -> str:
    words = ["curl", "-H", f"Authorization: Bearer {token}", "-F", f"file=@{song}"]
    return shlex.join([*words, f"{address}/v1/jobs"])
