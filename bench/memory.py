"""Memory of the orchestrator and its children while it separates: a short file and a long one.

`python -m bench.memory` takes the bundled model, 4 minutes and 2 hours. What is read is PSS, which
shares out pages used by several processes and leaves the page cache of scratch files out.
"""

import argparse
import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil

from bench import record
from bench.running import running, signed_in, succeeded
from bench.songs import CACHE, ROOT
from stemyard.stack.settings import StackSettings
from synthesis import song

SONG_S = 240.0
SONG_SEED = 240
SAMPLED_EVERY_S = 0.2
JOB_TIMEOUT_S = 7_200.0
MB = 1e6
SHORT_AT_MOST_MB = 600.0
LONG_ABOVE_SHORT_AT_MOST_MB = 64.0


@dataclass(slots=True)
class Peak:
    """The largest sum of PSS seen, and of how many processes."""

    pss_bytes: int = 0
    processes: int = 0
    samples: int = 0

    def see(self, pid: int) -> None:
        """Read the process and its children once."""
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        sizes: list[int] = []
        for process in family:
            # A decoder may end between being listed and being read.
            with suppress(psutil.NoSuchProcess):
                sizes.append(process.memory_full_info().pss)
        self.samples += 1
        if sum(sizes) > self.pss_bytes:
            self.pss_bytes, self.processes = sum(sizes), len(sizes)


def prepare_mp3(duration_s: float) -> Path:
    """The synthesised song, over and over, as an MP3 of that length."""
    path = CACHE / f"memory-{duration_s:.0f}.mp3"
    if path.exists():
        return path
    CACHE.mkdir(parents=True, exist_ok=True)
    made = song(seed=SONG_SEED, duration_s=min(SONG_S, duration_s))
    whole = (np.clip(made.mix, -1, 1) * 32_767).astype(np.int16)
    part = path.with_suffix(".part")
    with av.open(str(part), "w", format="mp3") as output:
        stream = output.add_stream("libmp3lame", rate=made.sample_rate_hz, layout="stereo")
        stream.bit_rate = 192_000
        for _ in range(round(duration_s / min(SONG_S, duration_s))):
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(whole.T).reshape(1, -1), format="s16", layout="stereo"
            )
            frame.sample_rate = made.sample_rate_hz
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    part.rename(path)
    return path


@asynccontextmanager
async def watched(pid: int) -> AsyncGenerator[Peak]:
    """The peak over the block."""
    peak = Peak()

    async def watch() -> None:
        while True:
            peak.see(pid)
            await asyncio.sleep(SAMPLED_EVERY_S)

    task = asyncio.create_task(watch())
    try:
        yield peak
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def peak_of(settings: StackSettings, path: Path) -> dict[str, Any]:
    """One job on a stack of its own."""
    async with running(settings) as stack, signed_in(stack) as client:
        pid = stack.processes["orchestrator"].pid
        assert pid is not None
        before = Peak()
        before.see(pid)
        async with watched(pid) as peak:
            job = await client.submit(path, model=settings.default_model)
            job = await succeeded(client, job, timeout_s=JOB_TIMEOUT_S)
        return {
            "idle_pss_mb": before.pss_bytes / MB,
            "peak_pss_mb": peak.pss_bytes / MB,
            "processes_at_the_peak": peak.processes,
            "samples": peak.samples,
            "source": job.document["source"],
            "ledger": job.document["ledger"],
        }


def measure(settings: StackSettings, *, short_s: float, long_s: float) -> dict[str, Any]:
    """Peaks of a short and a long file, each in a fresh orchestrator."""
    short = asyncio.run(peak_of(settings, prepare_mp3(short_s)))
    long = asyncio.run(peak_of(settings, prepare_mp3(long_s)))
    return {
        "model": settings.default_model,
        "window": settings.window,
        "short_s": short_s,
        "long_s": long_s,
        "short_peak_pss_mb": short["peak_pss_mb"],
        "short_peak_pss_mb_at_most": SHORT_AT_MOST_MB,
        "long_above_short_mb": long["peak_pss_mb"] - short["peak_pss_mb"],
        "long_above_short_mb_at_most": LONG_ABOVE_SHORT_AT_MOST_MB,
        "short": short,
        "long": long,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="stemyard-mini")
    parser.add_argument("--repository", type=Path, default=ROOT / "model_repository")
    parser.add_argument("--short-s", type=float, default=240.0)
    parser.add_argument("--long-s", type=float, default=7_200.0)
    parser.add_argument("--try-out", action="store_true", help="print only, record nothing")
    chosen = parser.parse_args()
    settings = StackSettings(
        repository=chosen.repository, default_model=chosen.model, models=(chosen.model,)
    )
    figures = measure(settings, short_s=chosen.short_s, long_s=chosen.long_s)
    print(json.dumps(figures, indent=2))
    if not chosen.try_out:
        print(record.write("memory", figures))


if __name__ == "__main__":
    main()
