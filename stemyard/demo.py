"""`make demo`: one song through gateway, orchestrator and Triton, as a client would send it."""

import asyncio
import json
import secrets
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

import numpy as np
import soundfile
from rich.console import Console
from rich.table import Table

from stemcore.stem_choice import complements_of
from stemyard.client import Job, StemyardClient
from stemyard.display import job_display
from stemyard.stack.assembly import Stack
from stemyard.stack.launch import launch, servers
from stemyard.stack.runtime import throw_away
from stemyard.stack.settings import StackSettings
from stemyard.yardstick import Audio, scores

if TYPE_CHECKING:
    from synthesis import Song

OUTPUT = {"format": "wav", "bit_depth": 24}
DEMO_SEED = 2026
DEMO_SECONDS = 60.0


class DemoFailed(Exception):
    """The job ended otherwise than well; the text is its error code and message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOrder:
    """What to separate; without a song one is synthesised, without a preset all stems are made."""

    song: Path | None
    preset: str | None = None
    model: str | None = None
    out: Path
    stack: StackSettings
    seconds: float = DEMO_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """What is sent, and, where we made it ourselves, what it is made of."""

    path: Path
    song: "Song | None"


async def run_demo(order: DemoOrder, *, console: Console) -> None:
    """Leaves the stems and result.json in `order.out`.

    Raises StackError, ClientError or DemoFailed; whatever happens, what was started has ended.
    """
    started_at = monotonic()
    order.out.mkdir(parents=True, exist_ok=True)
    console.print(f"starting {servers(order.stack)}")
    async with _source(order) as source:
        with throw_away(order.stack.runtimes) as runtime:
            async with launch(order.stack, runtime=runtime) as stack:
                console.print(f"ready at {stack.gateway.address} after {_since(started_at)}")
                source_path = (await source).path
                job = await _separate(
                    source_path, order, stack, console=console, started_at=started_at
                )
        song = (await source).song
    if song is not None:
        console.print(_table(song, [stem.stem for stem in job.stems], order.out))


@asynccontextmanager
async def _source(order: DemoOrder) -> AsyncGenerator["asyncio.Task[_Source]"]:
    """Made while the servers start: a minute of music takes a few seconds."""
    making = asyncio.create_task(_make_source(order), name="make the source")
    try:
        yield making
    finally:
        making.cancel()


async def _make_source(order: DemoOrder) -> "_Source":
    if order.song is not None:
        return _Source(path=order.song, song=None)
    from synthesis import song  # noqa: PLC0415 - costs a second of start for who brings a song

    made = await asyncio.to_thread(song, seed=DEMO_SEED, duration_s=order.seconds)
    path = order.out / "song.wav"
    soundfile.write(path, made.mix.T, made.sample_rate_hz, subtype="PCM_24")
    return _Source(path=path, song=made)


async def _separate(
    song: Path, order: DemoOrder, stack: Stack, *, console: Console, started_at: float
) -> Job:
    async with StemyardClient(stack.gateway.address) as client:
        await _sign_in(client)
        job = await client.submit(song, model=_model(order), preset=order.preset, output=OUTPUT)
        console.print(f"{song.name} sent as job {job.id} after {_since(started_at)}")
        console.print(_what_is_made(job))
        with job_display(console) as display:
            async for state in client.follow(job):
                job = state
                display.show(job)
        _write_result(job, order.out)
        if job.status != "succeeded":
            raise DemoFailed(f"{job.error_code or job.status}: {job.error_message or 'no stems'}")
        for stem in job.stems:
            target = order.out / f"{stem.stem}.wav"
            await client.download(job, stem, target=target)
            made = "" if stem.made_by == "model" else f" (by {stem.made_by})"
            console.print(f"{stem.stem:12} {target}{made}")
        console.print(
            f"{'result':12} {order.out / 'result.json'} (done after {_since(started_at)})"
        )
    return job


def _model(order: DemoOrder) -> str | None:
    """A preset without a model chooses one; otherwise it is the stack's own."""
    return order.model if order.preset is not None else order.stack.default_model


def _what_is_made(job: Job) -> str:
    parameters = job.document["parameters"]
    preset = f" for the preset {parameters['preset']}" if parameters["preset"] else ""
    return f"{parameters['model']} makes {', '.join(parameters['stems'])}{preset}"


async def _sign_in(client: StemyardClient) -> None:
    """A throw-away account: it goes when the stack's directory goes."""
    email, password = f"demo-{secrets.token_hex(6)}@example.com", f"{secrets.token_urlsafe(16)}-1a"
    await client.register(email=email, password=password, full_name="Demo")
    await client.sign_in(email=email, password=password)


def _write_result(job: Job, out: Path) -> None:
    (out / "result.json").write_text(json.dumps(dict(job.document), indent=2) + "\n")


def _table(song: "Song", made: Sequence[str], out: Path) -> Table:
    """Of what was made and we know as it should be."""
    table = Table("stem", title="Against the stems the song was made of")
    for title in ("SDR, dB", "best fixed gain on the mix, dB", "above it, dB"):
        table.add_column(title, justify="right")
    complements = complements_of(tuple(song.stems))
    truths = dict(song.stems) | {
        name: song.mix - song.stems[stem] for name, stem in complements.items()
    }
    estimates = {name: _read(out / f"{name}.wav") for name in made if name in truths}
    for score in scores(estimates, stems=truths, mix=song.mix):
        figures = (score.sdr_db, score.best_gain_sdr_db, score.above_best_gain_db)
        table.add_row(score.stem, *(f"{figure:.2f}" for figure in figures))
    return table


def _read(path: Path) -> Audio:
    samples, _ = soundfile.read(path, dtype="float32", always_2d=True)
    return np.asarray(samples.T, dtype=np.float32)


def _since(started_at: float) -> str:
    return f"{monotonic() - started_at:.1f} s"
