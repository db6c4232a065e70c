"""`make up` and `make stack`: a stack until Ctrl-C, and all one needs to try it."""

import asyncio
import shlex
from pathlib import Path

import soundfile
from rich.console import Console

from stemyard.client import StemyardClient
from stemyard.stack.assembly import Stack
from stemyard.stack.full import EVENTS_TOPIC, FullStack
from stemyard.stack.launch import launch, servers
from stemyard.stack.runtime import RuntimeDirectory, locked
from stemyard.stack.settings import FullStackSettings, StackSettings
from synthesis import song

EXAMPLE_SEED = 7
EXAMPLE_SECONDS = 20.0
DEMO_EMAIL = "test@example.com"
DEMO_PASSWORD = "password123"  # noqa: S105 - published, and only in a stack on loopback


async def stay_up(settings: StackSettings, *, console: Console) -> None:
    """Returns only by being cancelled; raises StackError when a process cannot be kept running."""
    console.print(f"starting {servers(settings)}")
    folder = "full" if isinstance(settings, FullStackSettings) else "up"
    with locked(settings.runtimes / folder) as runtime:
        async with launch(settings, runtime=runtime) as stack:
            await _tell(stack, example=await _example(runtime), console=console)
            await asyncio.Event().wait()


async def _example(runtime: RuntimeDirectory) -> Path:
    """A song of our own, so that the printed line works as it stands."""
    path = runtime.root / "example.wav"
    if not path.exists():
        made = await asyncio.to_thread(song, seed=EXAMPLE_SEED, duration_s=EXAMPLE_SECONDS)
        soundfile.write(path, made.mix.T, made.sample_rate_hz, subtype="PCM_16")
    return path


async def _tell(stack: Stack, *, example: Path, console: Console) -> None:
    async with StemyardClient(stack.gateway.address) as client:
        token = await client.sign_in(email=DEMO_EMAIL, password=DEMO_PASSWORD)
    address = stack.gateway.address
    lines = (
        *(f"address  {gateway.address}" for gateway in stack.services.gateways),
        f"docs     {address}/docs",
        f"logs     {stack.runtime.logs}",
        f"token    {token}",
        f"         (of {DEMO_EMAIL}, password {DEMO_PASSWORD})",
        *(_behind(stack) if isinstance(stack, FullStack) else ()),
        "",
        "Separate a song (any audio file will do):",
        f"  {_curl(token, '-F', f'file=@{example}', f'{address}/v1/jobs')}",
        "See how it fares, and take the stems of the job whose id it shows:",
        f"  {_curl(token, f'{address}/v1/jobs')}",
        f"  {_curl(token, '-o', 'stems.zip', f'{address}/v1/jobs/JOB_ID/archive')}",
        "",
        "Ctrl-C stops everything.",
    )
    # Neither wrapped nor coloured, so that it can be pasted.
    for line in lines:
        console.print(line, soft_wrap=True, markup=False, highlight=False)


def _behind(stack: FullStack) -> tuple[str, ...]:
    """What the services lean on, and how to read along."""
    broker = stack.kafka.bootstrap
    return (
        f"kafka    {broker}",
        f"minio    {stack.minio.endpoint}, bucket {stack.minio.bucket}",
        f"         (keys: {stack.minio.credentials_file})",
        "events   " + shlex.join(["kcat", "-b", broker, "-t", EVENTS_TOPIC, "-C", "-q"]),
    )


def _curl(token: str, *words: str) -> str:
    return shlex.join(["curl", "-H", f"Authorization: Bearer {token}", *words])
