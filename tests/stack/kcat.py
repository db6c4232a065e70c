"""kcat, as other systems' people use it."""

import asyncio
import json
import shutil
from asyncio.subprocess import PIPE
from typing import Any

import pytest

from stemcore.topics import EVENTS_TOPIC
from stemyard.stack.waiting import until

LIMIT_S = 60.0


async def shell(line: str) -> str:
    """What the line, which needs kcat, prints; it must succeed."""
    if shutil.which("kcat") is None:
        pytest.skip("absent: apt-get install kcat")
    process = await asyncio.create_subprocess_shell(line, stdout=PIPE, stderr=PIPE)
    output, complaint = await asyncio.wait_for(process.communicate(), LIMIT_S)
    assert process.returncode == 0, f"{line}\n{complaint.decode()}"
    return output.decode()


async def events_so_far(bootstrap: str) -> list[dict[str, Any]]:
    """All that were ever published, in the order of their partitions."""
    lines = await shell(f"kcat -C -q -e -o beginning -b {bootstrap} -t {EVENTS_TOPIC}")
    return [json.loads(line) for line in lines.splitlines()]


async def events_of(bootstrap: str, *, job_id: str, upto: str) -> list[dict[str, Any]]:
    """The job's, once the one named `upto` is among them."""
    found: list[dict[str, Any]] = []

    async def there() -> bool:
        found[:] = [each for each in await events_so_far(bootstrap) if each["job_id"] == job_id]
        return any(each["event"] == upto for each in found)

    await until(there, timeout_s=LIMIT_S)
    return found
