"""One supervised process: started, probed, started again when it dies, stopped with all of it."""

import asyncio
import os
import signal
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import structlog

from stemyard.stack.errors import ProcessFailed, StartTimedOut
from stemyard.stack.waiting import until

Probe = Callable[[], Awaitable[bool]]

_log = structlog.get_logger(__name__)
# In the child, before its program: the kernel's signal is asked for, and a supervisor that was
# gone by then is noticed. By programs, not by a function in a forked child: that would first run
# the fork handlers of every library loaded here, and telemetry's start threads (crashed in CI).
_DIE_WITH_US = 'test "$PPID" = "$0" && exec "$@"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The system user a process runs as, when it must not run as ours."""

    uid: int
    gid: int


def as_account(account: Account | None) -> tuple[str, ...]:
    """What to put before a command."""
    if account is None:
        return ()
    ids = (f"--reuid={account.uid}", f"--regid={account.gid}", f"--groups={account.gid}")
    return ("setpriv", *ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class Restarts:
    """How a dead process is started again: a doubling delay, forgotten after a calm while."""

    first_delay_s: float = 0.1
    longest_delay_s: float = 5.0
    calm_after_s: float = 10.0
    attempts_before_ready: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessPlan:
    """What to run. `probe` answers whether it is ready; without one, running is ready.

    `orphan_signal` is what the kernel sends the process when the supervisor itself is gone.
    `clean_up` is told the id of each process that ended, however it ended.
    """

    name: str
    command: tuple[str, ...]
    log: Path
    working_directory: Path
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    account: Account | None = None
    probe: Probe | None = None
    start_timeout_s: float = 60.0
    stop_signal: signal.Signals = signal.SIGTERM
    stop_grace_s: float = 10.0
    orphan_signal: signal.Signals = signal.SIGKILL
    clean_up: Callable[[int], None] | None = None
    restarts: Restarts = Restarts()


class SupervisedProcess:
    """Runs a plan until `stop`; `keep_running` is the task that does, owned by the supervisor."""

    def __init__(self, plan: ProcessPlan) -> None:
        self.plan = plan
        self.starts = 0
        self._process: Process | None = None
        self._stopping = asyncio.Event()
        self._was_ready = False

    @property
    def pid(self) -> int | None:
        """The process' id while it runs."""
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if self._process is not None and running else None

    async def keep_running(self) -> None:
        """Returns after `stop`. Raises ProcessFailed when it never became ready, however often."""
        delay_s = self.plan.restarts.first_delay_s
        while not self._stopping.is_set():
            started_at = monotonic()
            status = await self._run_once()
            if self._stopping.is_set():
                return
            self._give_up_unless_worth_it(status)
            if monotonic() - started_at > self.plan.restarts.calm_after_s:
                delay_s = self.plan.restarts.first_delay_s
            _log.warning(
                "process_died",
                process=self.plan.name,
                ended=_ending(status),
                again_in_s=delay_s,
                log=str(self.plan.log),
            )
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay_s)
            delay_s = min(2 * delay_s, self.plan.restarts.longest_delay_s)

    async def ready(self) -> None:
        """Waits until the probe says so. Raises StartTimedOut."""
        try:
            await until(self._is_ready, timeout_s=self.plan.start_timeout_s)
        except TimeoutError as error:
            what = f"was not ready after {self.plan.start_timeout_s:.0f} s"
            raise StartTimedOut(self.plan.name, what=what, log=self.plan.log) from error
        self._was_ready = True

    async def stop(self) -> None:
        """Asks, waits the grace, kills; its children go with it."""
        self._stopping.set()
        process = self._process
        if process is None or process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.send_signal(self.plan.stop_signal)
        try:
            await asyncio.wait_for(process.wait(), self.plan.stop_grace_s)
        except TimeoutError:
            _log.warning("process_killed", process=self.plan.name, after_s=self.plan.stop_grace_s)
            _kill_group(process.pid)
            await process.wait()

    def kill(self) -> None:
        """At once, children too; it is not started again."""
        self._stopping.set()
        if self._process is not None:
            _kill_group(self._process.pid)

    async def _run_once(self) -> int:
        self._process = await self._spawn()
        self.starts += 1
        try:
            if self._stopping.is_set():
                # It was not there yet when it was to be stopped: nobody else will.
                _kill_group(self._process.pid)
            return await self._process.wait()
        finally:
            # What outlives its leader (Triton's stubs) would hold memory, and cores. When we are
            # cancelled that ends the leader too; a loop that closed first would never hear of it.
            _kill_group(self._process.pid)
            await self._process.wait()
            if self.plan.clean_up is not None:
                self.plan.clean_up(self._process.pid)

    async def _spawn(self) -> Process:
        plan = self.plan
        with plan.log.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *as_account(plan.account),
                *("setpriv", "--pdeathsig", plan.orphan_signal.name),
                *("sh", "-c", _DIE_WITH_US, str(os.getpid())),
                *plan.command,
                cwd=plan.working_directory,
                env=dict(plan.environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def _is_ready(self) -> bool:
        return self.pid is not None and (self.plan.probe is None or await self.plan.probe())

    def _give_up_unless_worth_it(self, status: int) -> None:
        if not self._was_ready and self.starts >= self.plan.restarts.attempts_before_ready:
            what = f"ended {self.starts} times before it was ready, lastly {_ending(status)}"
            raise ProcessFailed(self.plan.name, what=what, log=self.plan.log)


def _kill_group(leader: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def _ending(status: int) -> str:
    return f"by {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
