"""The supervisor's promises, with shells for servers."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from stemyard.stack.errors import ProcessFailed, StackError, StartTimedOut
from stemyard.stack.process import ProcessPlan, Restarts, SupervisedProcess
from stemyard.stack.settings import ROOT
from stemyard.stack.supervisor import supervisor
from stemyard.stack.waiting import until

LIMIT_S = 10.0
QUICK = Restarts(first_delay_s=0.01, longest_delay_s=0.05)


def shell(script: str, folder: Path, **changes: object) -> ProcessPlan:
    values: dict[str, object] = {
        "name": "server",
        "command": ("/bin/sh", "-c", script),
        "log": folder / "server.log",
        "working_directory": folder,
        "restarts": QUICK,
        "start_timeout_s": LIMIT_S,
    }
    return ProcessPlan(**(values | changes))  # type: ignore[arg-type]


def probe(file: Path) -> object:
    async def exists() -> bool:
        return file.exists()

    return exists


async def pid_in(file: Path) -> int:
    async def written() -> bool:
        return file.exists() and file.read_text().endswith("\n")

    await until(written, timeout_s=LIMIT_S)
    return int(file.read_text())


async def gone(pid: int) -> None:
    async def ended() -> bool:
        try:
            return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    await until(ended, timeout_s=LIMIT_S)


async def started(process: SupervisedProcess, *, times: int) -> None:
    async def enough() -> bool:
        return process.starts >= times and process.pid is not None

    await until(enough, timeout_s=LIMIT_S)


async def test_ready_waits_for_the_probe(tmp_path: Path) -> None:
    sign = tmp_path / "sign"
    async with supervisor() as processes:
        process = processes.start(
            shell(f"touch {sign}; exec sleep 60", tmp_path, probe=probe(sign))
        )
        await process.ready()
        assert sign.exists()


async def test_a_dead_process_is_started_again(tmp_path: Path) -> None:
    async with supervisor() as processes:
        process = processes.start(shell("exec sleep 60", tmp_path))
        await process.ready()
        first = process.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await started(process, times=2)
        assert process.pid != first


async def test_what_a_dead_process_left_running_ends_before_it_is_back(tmp_path: Path) -> None:
    child = tmp_path / "child"
    script = f'sleep 60 & [ -e {child} ] || echo "$!" > {child}; exec sleep 60'
    async with supervisor() as processes:
        process = processes.start(shell(script, tmp_path))
        orphan = await pid_in(child)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        await started(process, times=2)
        await gone(orphan)


async def test_the_end_of_the_block_ends_everything(tmp_path: Path) -> None:
    child = tmp_path / "child"
    async with supervisor() as processes:
        process = processes.start(shell(f'sleep 60 & echo "$!" > {child}; wait', tmp_path))
        grandchild = await pid_in(child)
        leader = process.pid
        assert leader is not None
    await gone(leader)
    await gone(grandchild)


async def test_stopping_goes_backwards(tmp_path: Path) -> None:
    script = "trap 'echo {0} >> order; exit' TERM; touch up-{0}; while :; do sleep 0.02; done"
    async with supervisor() as processes:
        for name in ("first", "second"):
            await processes.start(
                shell(
                    script.format(name), tmp_path, name=name, probe=probe(tmp_path / f"up-{name}")
                )
            ).ready()
    assert (tmp_path / "order").read_text().split() == ["second", "first"]


async def test_who_ignores_the_request_to_stop_is_killed(tmp_path: Path) -> None:
    sign = tmp_path / "sign"
    script = f"trap '' TERM; touch {sign}; while :; do sleep 0.02; done"
    async with supervisor() as processes:
        process = processes.start(shell(script, tmp_path, probe=probe(sign), stop_grace_s=0.1))
        await process.ready()
        stubborn = process.pid
        assert stubborn is not None
    await gone(stubborn)


async def test_who_is_being_started_when_all_is_to_end_ends_too(tmp_path: Path) -> None:
    process = SupervisedProcess(shell("exec sleep 60", tmp_path))
    keeping = asyncio.create_task(process.keep_running())
    # As far as the first wait, which is for the new process.
    await asyncio.sleep(0)
    await process.stop()
    await asyncio.wait_for(keeping, LIMIT_S)
    assert process.pid is None


async def test_a_failed_block_still_ends_everything(tmp_path: Path) -> None:
    leader: int | None = None
    with pytest.raises(StackError, match="something else"):
        async with supervisor() as processes:
            process = processes.start(shell("exec sleep 60", tmp_path))
            await process.ready()
            leader = process.pid
            raise StackError("something else went wrong")
    assert leader is not None
    await gone(leader)


async def test_a_process_that_never_gets_ready_fails_with_its_log(tmp_path: Path) -> None:
    with pytest.raises(ProcessFailed) as failed:
        async with supervisor() as processes:
            process = processes.start(
                shell("echo no such table; exit 3", tmp_path, probe=probe(tmp_path / "never"))
            )
            await process.ready()
    assert "with status 3" in str(failed.value)
    assert "no such table" in str(failed.value)
    assert str(tmp_path / "server.log") in str(failed.value)


async def test_a_silent_process_times_out_with_its_log(tmp_path: Path) -> None:
    with pytest.raises(StartTimedOut) as failed:
        async with supervisor() as processes:
            process = processes.start(
                shell(
                    "echo still thinking; exec sleep 60",
                    tmp_path,
                    probe=probe(tmp_path / "never"),
                    start_timeout_s=2.0,
                )
            )
            await process.ready()
    assert "still thinking" in str(failed.value)


async def test_a_killed_supervisor_leaves_no_orphans(tmp_path: Path) -> None:
    """The kernel tells the children, when the supervisor no longer can."""
    program = f"""
import asyncio
from pathlib import Path
from stemyard.stack.process import ProcessPlan
from stemyard.stack.supervisor import supervisor

async def main():
    async with supervisor() as processes:
        processes.start(ProcessPlan(
            name="server", command=("/bin/sh", "-c", 'echo "$$" > child; exec sleep 60'),
            log=Path("log"), working_directory=Path({str(tmp_path)!r})))
        await asyncio.Event().wait()

asyncio.run(main())
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}
    ) as launcher:
        child = await pid_in(tmp_path / "child")
        assert psutil.pid_exists(child)
        launcher.kill()
    await gone(child)


async def test_a_second_cancellation_does_not_wait_for_the_stubborn(tmp_path: Path) -> None:
    sign = tmp_path / "sign"
    script = f"trap 'touch {tmp_path}/asked' TERM; touch {sign}; while :; do sleep 0.02; done"
    pids: list[int] = []

    async def run() -> None:
        async with supervisor() as processes:
            process = processes.start(
                shell(script, tmp_path, probe=probe(sign), stop_grace_s=10 * LIMIT_S)
            )
            await process.ready()
            assert process.pid is not None
            pids.append(process.pid)
            await asyncio.Event().wait()

    async def asked() -> bool:
        return (tmp_path / "asked").exists()

    async def running() -> bool:
        return bool(pids)

    task = asyncio.create_task(run())
    await until(running, timeout_s=LIMIT_S)
    task.cancel()
    await until(asked, timeout_s=LIMIT_S)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, LIMIT_S)
    assert not psutil.pid_exists(pids[0])
