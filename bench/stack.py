"""The full stack against the one-machine stack, two orchestrators against one, and its overhead.

Everything that is measured is started here. `--try-out` prints and records nothing.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from bench import record, waiting_server
from bench.running import running, separate, signed_in, succeeded
from bench.songs import prepare_song
from stemyard.client import Job, StemyardClient
from stemyard.stack.assembly import Stack
from stemyard.stack.settings import FullStackSettings, StackSettings

MODEL = "stemyard-mini"
JOBS_PER_ACCOUNT = 10
# Two requests in flight: at most 8 segments a second for one orchestrator.
DELAY_S = 0.25
FULL_OVER_ONE_MACHINE_AT_MOST = 1.15
TWO_OVER_ONE_AT_LEAST = 1.7
SEGMENTS_PER_S_AT_LEAST = 6.0
DISPATCH_P50_MS_AT_MOST = 150.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much is measured; the defaults are the recorded figures'."""

    song_s: float
    songs: int
    jobs: int
    job_s: float
    dispatches: int


async def end_to_end(settings: StackSettings, sizes: Sizes) -> list[float]:
    """Seconds of wall from submission to the end, one song after the other."""
    path = prepare_song(sizes.song_s)
    async with running(settings) as stack, signed_in(stack, name="song") as client:
        jobs = [await separate(client, path, model=MODEL) for _ in range(sizes.songs)]
    return [job["seconds"] for job in jobs]


async def dispatch_ms(settings: StackSettings, sizes: Sizes) -> list[float]:
    """From the row that the 202 promises to the claim that runs it, on an idle stack.

    By the database's own clock, and a little too long: the row is older than the answer.
    """
    path = prepare_song(2.0)
    async with running(settings) as stack, signed_in(stack, name="dispatch") as client:
        jobs = [await separate(client, path, model=MODEL) for _ in range(sizes.dispatches)]
    return [1000 * (_at(job, "started_at") - _at(job, "created_at")) for job in jobs]


async def drained_s(
    stack: Stack, *, orchestrators: int, name: str, sizes: Sizes, stems: Sequence[str] | None
) -> float:
    """From the first claim to the end of the last of many jobs that wait when the work begins."""
    workers = [stack.processes[door.name] for door in stack.services.orchestrators]
    for worker in workers:
        await worker.stop()
    path = prepare_song(sizes.job_s)
    async with AsyncExitStack() as entered:
        sent: list[tuple[StemyardClient, Job]] = []
        for index in range(0, sizes.jobs, JOBS_PER_ACCOUNT):
            client = await entered.enter_async_context(signed_in(stack, name=f"{name}-{index}"))
            share = min(JOBS_PER_ACCOUNT, sizes.jobs - index)
            sent += [(client, await client.submit(path, stems=stems)) for _ in range(share)]
        for worker in workers[:orchestrators]:
            await stack.processes.start(worker.plan).ready()
        ended = [(await succeeded(client, job)).document for client, job in sent]
    return max(_at(job, "finished_at") for job in ended) - min(
        _at(job, "started_at") for job in ended
    )


async def orchestrators(sizes: Sizes, *, stems: Sequence[str] | None = None) -> dict[str, Any]:
    """The same jobs by one and by two, with an engine that waits; all stems unless some are named.

    Four stems of 24-bit WAV keep two cores busy that engine, store and workers share.
    """
    with tempfile.TemporaryDirectory() as folder:
        waiting_server.write_model(Path(folder), delay_s=DELAY_S, instances=8)
        settings = FullStackSettings(
            repository=Path(folder),
            default_model=waiting_server.MODEL,
            serving_module="bench.waiting_server",
            durable=False,
        )
        async with running(settings) as stack:
            one_s = await drained_s(stack, orchestrators=1, name="one", sizes=sizes, stems=stems)
            two_s = await drained_s(stack, orchestrators=2, name="two", sizes=sizes, stems=stems)
    segments = sizes.jobs * _segments(sizes.job_s)
    return {
        "jobs": sizes.jobs,
        "job_s": sizes.job_s,
        "stems": stems or "all",
        "segments": segments,
        "delay_s": DELAY_S,
        "slots": settings.slots,
        "window": settings.window,
        "one_s": one_s,
        "two_s": two_s,
        "one_segments_per_s": segments / one_s,
        "one_segments_per_s_at_least": SEGMENTS_PER_S_AT_LEAST,
        "two_over_one": one_s / two_s,
        "two_over_one_at_least": TWO_OVER_ONE_AT_LEAST,
    }


async def overhead(sizes: Sizes) -> dict[str, Any]:
    """The same song on both stacks, one after the other."""
    alone_s = await end_to_end(StackSettings(models=(MODEL,)), sizes)
    full_s = await end_to_end(FullStackSettings(models=(MODEL,)), sizes)
    return {
        "model": MODEL,
        "song_s": sizes.song_s,
        "one_machine_s": alone_s,
        "full_s": full_s,
        "full_over_one_machine": statistics.median(full_s) / statistics.median(alone_s),
        "full_over_one_machine_at_most": FULL_OVER_ONE_MACHINE_AT_MOST,
    }


async def dispatch(sizes: Sizes) -> dict[str, Any]:
    """What outbox, relay, broker, intake and claim cost a job that nothing else delays."""
    waits_ms = sorted(await dispatch_ms(FullStackSettings(models=(MODEL,)), sizes))
    return {
        "jobs": len(waits_ms),
        "p50_ms": statistics.median(waits_ms),
        "p50_ms_at_most": DISPATCH_P50_MS_AT_MOST,
        "p95_ms": waits_ms[int(0.95 * (len(waits_ms) - 1))],
        "longest_ms": waits_ms[-1],
    }


ROWS: Mapping[str, Callable[[Sizes], Awaitable[dict[str, Any]]]] = {
    "end_to_end": overhead,
    "dispatch": dispatch,
    "orchestrators": orchestrators,
    "orchestrators_one_stem": partial(orchestrators, stems=("vocals",)),
}


def _at(job: Mapping[str, Any], moment: str) -> float:
    return datetime.fromisoformat(job[moment]).timestamp()


def _segments(duration_s: float) -> int:
    """Of a full-size segment's length, at a quarter's overlap."""
    hop_samples = int(0.75 * waiting_server.SEGMENT_SAMPLES)
    return -(-round(duration_s * 44_100) // hop_samples)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--song-s", type=float, default=60.0)
    parser.add_argument("--songs", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=40)
    parser.add_argument("--job-s", type=float, default=60.0)
    parser.add_argument("--dispatches", type=int, default=41)
    parser.add_argument("--only", choices=ROWS, help="one row, in a file of its own")
    parser.add_argument("--try-out", action="store_true", help="print only, record nothing")
    chosen = vars(parser.parse_args(arguments))
    try_out, only = chosen.pop("try_out"), chosen.pop("only")
    sizes = Sizes(**chosen)
    names = [only] if only else list(ROWS)
    figures = {name: asyncio.run(ROWS[name](sizes)) for name in names}
    print(json.dumps(figures, indent=2))
    if not try_out:
        print(record.write(f"stack-{only}" if only else "stack", figures))


if __name__ == "__main__":
    main()
