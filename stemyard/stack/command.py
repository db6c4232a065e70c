"""A program that is run to its end before anything else goes on."""

import asyncio
import os
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import Mapping
from contextlib import suppress

from stemyard.stack.errors import StackError
from stemyard.stack.settings import ROOT


async def run(
    *command: str, purpose: str, timeout_s: float, environment: Mapping[str, str] | None = None
) -> None:
    """In the repository's root; it has ended when this returns, is cancelled or raises.

    `environment` is added to ours. Raises StackError, which names the purpose and says what the
    program printed, when it fails or takes longer than `timeout_s`.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=ROOT,
        env=os.environ | dict(environment or {}),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=STDOUT,
    )
    try:
        printed, _ = await asyncio.wait_for(process.communicate(), timeout_s)
    except TimeoutError as error:
        raise StackError(f"{purpose}: not done after {timeout_s:.0f} s") from error
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()
    if process.returncode != 0:
        raise StackError(f"{purpose}:\n{printed.decode()}")
