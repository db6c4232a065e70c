"""Orchestrators as separate processes over one database and one store, to be killed and stopped."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from stemcore.storage.filesystem import FilesystemStore
from stemyard.stack.settings import ROOT
from stemyard.stack.waiting import until
from tests.faults.engine import calls
from tests.integration.orchestrator.conftest import Jobs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stemcore.database.pool import Pool

LEASE_S = 3.0
DOOMED_FOR_S = 3.0
GRACE_S = 8.0
SEGMENT_S = 0.1
# On a machine that is busy with other things.
PATIENCE_S = 90.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """One orchestrator process."""

    process: asyncio.subprocess.Process
    scratch: Path
    record: Path
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def is_running(self) -> bool:
        return self.process.returncode is None

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ended(self, *, timeout_s: float) -> int:
        async with asyncio.timeout(timeout_s):
            return await self.process.wait()

    def begun(self) -> int:
        """Segments it has asked the engine for."""
        return calls(self.record, pid=self.pid)["begun"]

    def unfinished(self) -> int:
        """Segments it has asked for and whose end it did not see."""
        seen = calls(self.record, pid=self.pid)
        return seen["begun"] - seen["ended"]

    async def idle(self) -> None:
        """Wait until it works on nothing any more."""

        async def is_idle() -> bool:
            return not list(self.scratch.glob(f"*-{self.pid}-*/*-*"))

        await until(is_idle, timeout_s=PATIENCE_S)


@dataclass(kw_only=True)
class Floor:
    """Starts workers, gives them jobs, and looks at what they leave."""

    pool: "Pool"
    jobs: Jobs
    dsn: str
    root: Path
    workers: list[Worker] = field(default_factory=list[Worker])
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def start(
        self, *, dsn: str | None = None, segment_s: float = SEGMENT_S, **settings: Any
    ) -> Worker:
        """One more worker, which need not have begun to work yet."""
        number = len(self.workers)
        environment = self._environment(dsn or self.dsn, settings)
        environment["FAULTS_DELAY_S"] = str(segment_s)
        worker = await self._stack.enter_async_context(
            _running(environment, root=self.root, number=number)
        )
        self.workers.append(worker)
        return worker

    async def close(self) -> None:
        """Kill what still runs."""
        await self._stack.aclose()

    def _environment(self, dsn: str, settings: "Mapping[str, Any]") -> dict[str, str]:
        chosen = {
            "DATABASE__DSN": dsn,
            "DATABASE__CONNECT_TIMEOUT_S": 2.0,
            "DATABASE__COMMAND_TIMEOUT_S": 2.0,
            "STORAGE__ROOT": self.root / "objects",
            "SCRATCH__ROOT": self.root / "scratch",
            "LEASE__LENGTH_S": LEASE_S,
            "SHUTDOWN_GRACE_S": GRACE_S,
            "DOOMED_FOR_S": DOOMED_FOR_S,
            "PROGRESS_EVERY_S": 0.0,
            "SLOTS": 1,
            **settings,
        }
        prefixed = {f"STEMYARD_ORCHESTRATOR_{name}": str(value) for name, value in chosen.items()}
        return os.environ | prefixed | {"FAULTS_RECORD": str(self.root / "calls")}

    async def holder(self, job_id: UUID, *, progress: float = 0.25) -> Worker:
        """Who runs the job, once that much of it is done."""
        found: list[Worker] = []

        async def is_working() -> bool:
            row = await self.jobs.row(job_id)
            assert row["status"] in ("accepted", "queued", "running"), "the song is too short"
            owner = row["lease_owner"] or ""
            found[:] = [w for w in self.workers if w.is_running and f"-{w.pid}-" in owner]
            return bool(found) and row["progress"] >= progress

        await until(is_working, timeout_s=PATIENCE_S)
        return found[0]

    async def succeeded(self, job_id: UUID) -> dict[str, str]:
        """The digests of its stems, once it is done."""

        async def is_over() -> bool:
            return (await self.jobs.row(job_id))["status"] in ("succeeded", "failed", "cancelled")

        await until(is_over, timeout_s=PATIENCE_S)
        row = await self.jobs.row(job_id)
        assert row["status"] == "succeeded", row["error"]
        assert (await self.jobs.events(job_id)).count("job.succeeded") == 1
        return {result["name"]: result["sha256"] for result in row["results"]}

    async def swept(self) -> None:
        """Wait until nothing is doomed any more."""

        async def is_clean() -> bool:
            return not await self.pool.fetchval("SELECT count(*) FROM doomed_prefixes")

        await until(is_clean, timeout_s=PATIENCE_S)

    def objects(self, job_id: UUID) -> list[str]:
        """What lies in the store for the job: below which token, and named how."""
        folder = self.root / "objects" / "results" / str(job_id)
        return sorted(
            path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
        )

    def partial_objects(self) -> list[Path]:
        """What was being written and is visible to nobody."""
        return [path for path in (self.root / "objects").rglob(".partial/*") if path.is_file()]


@asynccontextmanager
async def _running(
    environment: dict[str, str], *, root: Path, number: int
) -> AsyncGenerator[Worker]:
    log = root / f"worker-{number}.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.faults.worker",
            cwd=ROOT,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield Worker(process=process, scratch=root / "scratch", record=root / "calls", log=log)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def open_floor(pool: "Pool", *, dsn: str, root: Path) -> AsyncGenerator[Floor]:
    floor = Floor(
        pool=pool,
        jobs=Jobs(pool=pool, store=FilesystemStore(root / "objects")),
        dsn=dsn,
        root=root,
    )
    try:
        yield floor
    finally:
        await floor.close()
