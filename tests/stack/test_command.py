"""Programs that are run to their end leave nothing behind, however that came."""

import asyncio
import sys
from pathlib import Path

import psutil
import pytest

from stemyard.stack.command import run
from stemyard.stack.errors import StackError
from tests.stack.test_process import LIMIT_S, pid_in


def stubborn(file: Path) -> tuple[str, ...]:
    """Tells its id and stays."""
    return ("sh", "-c", f"trap '' TERM; echo $$ > {file}; while :; do sleep 0.02; done")


async def test_it_runs_with_what_is_added_to_our_environment(tmp_path: Path) -> None:
    told = tmp_path / "told"
    command = ("sh", "-c", f'echo "$PATH $MORE" > {told}')
    await run(*command, purpose="telling", timeout_s=LIMIT_S, environment={"MORE": "more"})
    path, more = told.read_text().split()
    assert path
    assert more == "more"


async def test_a_failure_says_what_for_and_what_was_printed() -> None:
    program = "import sys; print('on the one'); sys.exit('and on the other')"
    with pytest.raises(StackError, match="it could not be done:") as failed:
        await run(sys.executable, "-c", program, purpose="it could not be done", timeout_s=LIMIT_S)
    assert "on the one" in str(failed.value)
    assert "and on the other" in str(failed.value)


async def test_who_takes_too_long_is_ended(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    with pytest.raises(StackError, match="it could not be done: not done after 3 s"):
        await run(*stubborn(file), purpose="it could not be done", timeout_s=3.0)
    assert not psutil.pid_exists(await pid_in(file))


async def test_who_is_cancelled_has_ended_it(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    task = asyncio.create_task(run(*stubborn(file), purpose="it", timeout_s=LIMIT_S))
    pid = await pid_in(file)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not psutil.pid_exists(pid)
