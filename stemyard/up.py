"""`make up` and `make stack`: a stack until Ctrl-C, and all one needs to try it."""

import asyncio
import json
import shlex
from collections.abc import AsyncGenerator
from pathlib import Path

import soundfile
from rich.console import Console

from stemcore.topics import EVENTS_TOPIC, SUBMISSIONS_TOPIC
from stemyard.client import StemyardClient
from stemyard.stack.assembly import Stack
from stemyard.stack.full import FullStack
from stemyard.stack.launch import launch, servers
from stemyard.stack.minio import open_bucket
from stemyard.stack.runtime import RuntimeDirectory, locked
from stemyard.stack.services import DEMO_EMAIL, DEMO_PASSWORD, DEMO_PREFIX, DEMO_SERVICE_ACCOUNT
from stemyard.stack.settings import FullStackSettings, StackSettings
from synthesis import song

EXAMPLE_SEED = 7
EXAMPLE_SECONDS = 20.0
# A sender makes up the id of each message; this writes one where it stands for %s.
NEW_ID = "$(cat /proc/sys/kernel/random/uuid)"


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
    lines = [*_doors(stack, token), "", *_by_http(stack.gateway.address, token, example)]
    if isinstance(stack, FullStack):
        lines += ["", *await _by_message(stack, example)]
    # Neither wrapped nor coloured, so that it can be pasted.
    for line in (*lines, "", "Ctrl-C stops everything."):
        console.print(line, soft_wrap=True, markup=False, highlight=False)


def _doors(stack: Stack, token: str) -> tuple[str, ...]:
    return (
        *(f"address  {gateway.address}" for gateway in stack.services.gateways),
        f"docs     {stack.gateway.address}/docs",
        f"logs     {stack.runtime.logs}",
        f"token    {token}",
        f"         (of {DEMO_EMAIL}, password {DEMO_PASSWORD})",
    )


def _by_http(address: str, token: str, example: Path) -> tuple[str, ...]:
    return (
        "Separate a song (any audio file will do):",
        f"  {_curl(token, '-F', f'file=@{example}', f'{address}/v1/jobs')}",
        "The same by what it is for; the first line shows the presets, and the model each takes:",
        f"  {shlex.join(['curl', f'{address}/v1/presets'])}",
        f"  {_curl(token, '-F', 'preset=karaoke', '-F', f'file=@{example}', f'{address}/v1/jobs')}",
        "See how it fares, and take the stems of the job whose id it shows:",
        f"  {_curl(token, f'{address}/v1/jobs')}",
        f"  {_curl(token, '-o', 'stems.zip', f'{address}/v1/jobs/JOB_ID/archive')}",
    )


async def _by_message(stack: FullStack, example: Path) -> tuple[str, ...]:
    """The other door; the example is put where a message may name it."""
    broker, key = stack.kafka.bootstrap, f"{DEMO_PREFIX}{example.name}"
    async with open_bucket(stack.minio) as bucket:
        await bucket.put(key, _whole(example))
    return (
        f"kafka    {broker}",
        f"minio    {stack.minio.endpoint}, bucket {stack.minio.bucket}",
        f"         (keys in {stack.minio.credentials_file})",
        "Read the events of all jobs:",
        f"  kcat -C -q -b {broker} -t {EVENTS_TOPIC}",
        "Have a song separated by message:",
        f"  {submission_line(broker, source_key=key, filename=example.name)}",
    )


async def _whole(path: Path) -> AsyncGenerator[bytes]:
    yield await asyncio.to_thread(path.read_bytes)


def submission_line(broker: str, *, source_key: str, filename: str) -> str:
    """For a shell with kcat: a message of the demo's service account."""
    message = {
        "type": "submit_job",
        "version": 1,
        "event_id": "%s",
        "service_account": DEMO_SERVICE_ACCOUNT,
        "source_key": source_key,
        "filename": filename,
    }
    words = shlex.join(["printf", json.dumps(message)])
    return f'{words} "{NEW_ID}" | kcat -P -b {broker} -t {SUBMISSIONS_TOPIC}'


def _curl(token: str, *words: str) -> str:
    return shlex.join(["curl", "-H", f"Authorization: Bearer {token}", *words])
