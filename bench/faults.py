"""Kill -9 in the middle of a job, again and again: is every job done, the same, and soon?

`python -m bench.faults` runs two orchestrators on a one-machine stack with the bundled model and
kills the one that holds the job, each time somewhere else in it.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import statistics
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg

from bench import record
from bench.running import running, signed_in, succeeded, tell_orchestrators
from bench.songs import ROOT, prepare_song
from stemyard.client import Job, StemyardClient
from stemyard.stack.assembly import Stack
from stemyard.stack.settings import StackSettings
from stemyard.stack.waiting import until

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

SONG_S = 60.0
KILL_SEED = 9
# Between the first segments and the last.
EARLIEST, LATEST = 0.15, 0.85
LATER_THAN_LEASE_AT_MOST_S = 5.0
DOOMED_FOR_S = 5.0
JOB_TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """One job whose worker was killed at that progress, and when another one had it."""

    progress: float
    resumed_after_s: float
    done_after_s: float
    is_identical: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A stack with several orchestrators, a client, and a look into the database."""

    stack: Stack
    client: StemyardClient
    database: "Connection"

    async def done(self, job: Job) -> dict[str, str]:
        """The digests of the stems."""
        job = await succeeded(self.client, job, timeout_s=JOB_TIMEOUT_S)
        return {stem.stem: stem.sha256 for stem in job.stems}

    async def killed(self, path: Path, *, at: float, calm: dict[str, str]) -> Kill:
        """Submit, and kill the holder once the job has come so far."""
        job = await self.client.submit(path)
        holder = await self._holder(job, at=at)
        killed_at = await self.database.fetchval("SELECT clock_timestamp()")
        os.kill(holder, signal.SIGKILL)
        digests = await self.done(job)
        runs = await self.database.fetch(
            "SELECT at FROM job_events WHERE job_id = $1 AND type = 'job.running' ORDER BY seq",
            UUID(job.id),
        )
        if len(runs) != 2:
            raise SystemExit(f"the job ran {len(runs)} times instead of twice")
        done_at = await self.database.fetchval(
            "SELECT finished_at FROM jobs WHERE id = $1", UUID(job.id)
        )
        return Kill(
            progress=round(at, 3),
            resumed_after_s=round((runs[1]["at"] - killed_at).total_seconds(), 3),
            done_after_s=round((done_at - killed_at).total_seconds(), 3),
            is_identical=digests == calm,
        )

    async def _holder(self, job: Job, *, at: float) -> int:
        """The process that runs the job, at that progress."""
        found: list[int] = []

        async def is_there() -> bool:
            row = await self.database.fetchrow(
                "SELECT status, progress, lease_owner FROM jobs WHERE id = $1", UUID(job.id)
            )
            if row is None or row["status"] not in ("accepted", "queued", "running"):
                raise SystemExit("the job was over before its worker could be killed")
            pids = [
                self.stack.processes[door.name].pid for door in self.stack.services.orchestrators
            ]
            found[:] = [pid for pid in pids if pid and f"-{pid}-" in (row["lease_owner"] or "")]
            return bool(found) and row["progress"] >= at

        await until(is_there, timeout_s=JOB_TIMEOUT_S)
        return found[0]

    async def left_behind(self) -> list[str]:
        """Objects of dead claims, once the sweeper has done its work."""

        async def is_swept() -> bool:
            return not await self.database.fetchval("SELECT count(*) FROM doomed_prefixes")

        await until(is_swept, timeout_s=JOB_TIMEOUT_S)
        rows = await self.database.fetch("SELECT id, lease_token FROM jobs")
        owned = {f"{row['id']}/{row['lease_token']}" for row in rows}
        results = self.stack.runtime.objects / "results"
        files = [path.relative_to(results) for path in results.rglob("*") if path.is_file()]
        return [str(path) for path in files if "/".join(path.parts[:2]) not in owned]


@asynccontextmanager
async def open_bench(settings: StackSettings) -> AsyncGenerator[Bench]:
    async with running(settings) as stack, signed_in(stack) as client:
        database = await asyncpg.connect(stack.database.dsn(), timeout=5, command_timeout=10)
        try:
            yield Bench(stack=stack, client=client, database=database)
        finally:
            await database.close()


async def measure(settings: StackSettings, *, kills: int, lease_s: float) -> dict[str, Any]:
    """One undisturbed job, then the others."""
    path, places = prepare_song(SONG_S), random.Random(KILL_SEED)  # noqa: S311 - not a secret
    async with open_bench(settings) as bench:
        calm = await bench.done(await bench.client.submit(path))
        killed: list[Kill] = []
        for number in range(1, kills + 1):
            kill = await bench.killed(path, at=places.uniform(EARLIEST, LATEST), calm=calm)
            print(f"{number}/{kills}: {kill}", flush=True)
            killed.append(kill)
        left_behind = await bench.left_behind()
    resumed_s = [kill.resumed_after_s for kill in killed]
    return {
        "model": settings.default_model,
        "orchestrators": settings.orchestrators,
        "song_s": SONG_S,
        "lease_s": lease_s,
        "kills": kills,
        "all_done": len(killed) == kills,
        "all_identical": all(kill.is_identical for kill in killed),
        "left_behind": left_behind,
        "resumed_after_s": {"median": statistics.median(resumed_s), "max": max(resumed_s)},
        "resumed_after_s_at_most": lease_s + LATER_THAN_LEASE_AT_MOST_S,
        "each": [asdict(kill) for kill in killed],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--lease-s", type=float, default=3.0)
    parser.add_argument("--model", default="stemyard-mini")
    parser.add_argument("--repository", type=Path, default=ROOT / "model_repository")
    parser.add_argument("--try-out", action="store_true", help="print only, record nothing")
    chosen = parser.parse_args()
    tell_orchestrators(
        LEASE__LENGTH_S=chosen.lease_s, DOOMED_FOR_S=DOOMED_FOR_S, PROGRESS_EVERY_S=0.0
    )
    settings = StackSettings(
        repository=chosen.repository,
        default_model=chosen.model,
        models=(chosen.model,),
        orchestrators=2,
    )
    figures = asyncio.run(measure(settings, kills=chosen.kills, lease_s=chosen.lease_s))
    print(json.dumps(figures, indent=2))
    if not chosen.try_out:
        print(record.write("faults", figures))


if __name__ == "__main__":
    main()
