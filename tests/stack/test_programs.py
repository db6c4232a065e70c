"""`make demo` and `make up` as programs: what they print, leave, and take away."""

import asyncio
import json
import os
import shutil
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
import soundfile

from stemyard.stack.settings import ROOT
from stemyard.stack.waiting import until
from synthesis import song
from tests.stack.conftest import TINY_REPOSITORY
from tests.stack.kcat import shell

END_LIMIT_S = 200.0
TINY = ("--model", "tiny", "--repository", str(TINY_REPOSITORY))
STEMS = ("drums", "bass", "other", "vocals")


@pytest.fixture
def short_song(tmp_path: Path) -> Path:
    """Mono at 48 kHz, and a name a shell would stumble over."""
    made = song(seed=3, duration_s=9.0)
    path = tmp_path / "a song's [own] name.flac"
    soundfile.write(path, made.mix[0], 48_000, subtype="PCM_24")
    return path


@asynccontextmanager
async def program(runtimes: Path, *arguments: str) -> AsyncGenerator[Process]:
    """`python -m stemyard ...` as a shell's background job; killed at the end unless it ended."""
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", 'trap "" INT; exec "$@"', "sh"),
        *(sys.executable, "-m", "stemyard", *arguments),
        cwd=ROOT,
        env=os.environ | {"STEMYARD_STACK_RUNTIMES": str(runtimes)},
        stdout=PIPE,
        stderr=STDOUT,
        limit=1 << 20,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def whole_output(process: Process) -> str:
    output, _ = await asyncio.wait_for(process.communicate(), END_LIMIT_S)
    return output.decode()


async def output_until(process: Process, words: str) -> str:
    """Everything printed up to the line with those words."""
    assert process.stdout is not None
    seen = ""
    async with asyncio.timeout(END_LIMIT_S):
        while words not in seen:
            line = (await process.stdout.readline()).decode()
            assert line, f"ended without {words!r}:\n{seen}"
            seen += line
    return seen


def processes_below(folder: Path) -> list[str]:
    """What still runs with something of `folder` on its command line."""
    found: list[str] = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or ())
        if str(folder) in line:
            found.append(line)
    return found


@pytest.mark.parametrize("stack", ["one-machine", "full"])
async def test_demo_leaves_the_stems_of_a_given_song_and_nothing_else(
    runtimes: Path, short_song: Path, tmp_path: Path, stack: str
) -> None:
    out = tmp_path / "out"
    arguments = ("demo", "--stack", stack, "--song", str(short_song), "--out", str(out), *TINY)
    async with program(runtimes, *arguments) as process:
        output = await whole_output(process)
    assert process.returncode == 0, output
    assert f"{short_song.name} sent as job" in output.replace("\n", " ")
    assert {path.name for path in out.iterdir()} == {
        "result.json",
        *(f"{stem}.wav" for stem in STEMS),
    }
    for stem in STEMS:
        found = soundfile.info(out / f"{stem}.wav")
        assert (found.frames, found.samplerate) == (round(9.0 * 44_100), 48_000)
        assert found.subtype == "PCM_24"
        assert str(out / f"{stem}.wav") in output.replace("\n", "")
    assert json.loads((out / "result.json").read_text())["status"] == "succeeded"
    assert list(runtimes.glob("run-*")) == []
    assert processes_below(runtimes / "run-") == []


async def test_demo_for_a_purpose_leaves_what_the_purpose_is(
    runtimes: Path, tmp_path: Path
) -> None:
    """On a song of ours, whose instrumental is known; the model is the preset's to choose."""
    out = tmp_path / "out"
    arguments = ("demo", "--preset", "karaoke", "--out", str(out))
    arguments += ("--repository", str(TINY_REPOSITORY), "--seconds", "9")
    async with program(runtimes, *arguments) as process:
        output = await whole_output(process)
    assert process.returncode == 0, output
    assert {path.name for path in out.iterdir()} == {
        "song.wav",
        "instrumental.wav",
        "result.json",
    }
    result = json.loads((out / "result.json").read_text())
    assert (result["parameters"]["preset"], result["parameters"]["stems"]) == (
        "karaoke",
        ["instrumental"],
    )
    assert f"{result['parameters']['model']} makes instrumental" in output
    assert "(by subtraction)" in " ".join(output.split())
    scored = [line for line in output.splitlines() if "instrumental" in line and "│" in line]
    assert len(scored) == 1
    assert (
        soundfile.info(out / "instrumental.wav").frames == soundfile.info(out / "song.wav").frames
    )


async def test_demo_tells_why_a_file_was_turned_down(runtimes: Path, tmp_path: Path) -> None:
    text = tmp_path / "song.mp3"
    text.write_text("these are words\n" * 100)
    arguments = ("demo", "--song", str(text), "--out", str(tmp_path / "out"), *TINY)
    async with program(runtimes, *arguments) as process:
        output = await whole_output(process)
    assert process.returncode == 1
    assert "unsupported_format: " in output
    assert "Traceback" not in output
    assert processes_below(runtimes / "run-") == []


async def test_demo_of_an_absent_file_starts_nothing(runtimes: Path) -> None:
    async with program(runtimes, "demo", "--song", "/nowhere/song.mp3") as process:
        output = await whole_output(process)
    assert process.returncode == 2
    assert output == "/nowhere/song.mp3: no such file\n"


async def test_demo_of_an_absent_model_says_what_is_missing(
    runtimes: Path, short_song: Path, tmp_path: Path
) -> None:
    empty = tmp_path / "models"
    empty.mkdir()
    arguments = ("demo", "--song", str(short_song), "--repository", str(empty))
    async with program(runtimes, *arguments, "--out", str(tmp_path / "out")) as process:
        output = await whole_output(process)
    assert process.returncode == 1
    assert str(empty) in output
    assert "Traceback" not in output


async def test_demo_names_the_model_that_was_refused(
    runtimes: Path, short_song: Path, tmp_path: Path
) -> None:
    repository = tmp_path / "models"
    shutil.copytree(TINY_REPOSITORY / "tiny", repository / "tiny")
    with (repository / "tiny" / "1" / "model.onnx").open("ab") as file:
        file.write(b"\0")
    arguments = ("--song", str(short_song), "--out", str(tmp_path / "out"), "--model", "tiny")
    async with program(runtimes, "demo", *arguments, "--repository", str(repository)) as process:
        output = await whole_output(process)
    assert process.returncode == 1
    assert "tiny was refused, digest_differs: 1/model.onnx has sha256" in output
    assert "Traceback" not in output
    assert processes_below(runtimes / "run-") == []


@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])
async def test_an_interrupted_demo_stops_everything(
    runtimes: Path, tmp_path: Path, told: signal.Signals
) -> None:
    arguments = ("demo", "--out", str(tmp_path / "out"), *TINY)
    async with program(runtimes, *arguments) as process:
        await output_until(process, "separating")
        process.send_signal(told)
        output = await whole_output(process)
    assert process.returncode == 130
    assert output.endswith("stopped\n")
    assert "Traceback" not in output
    assert processes_below(runtimes / "run-") == []
    assert list(runtimes.glob("run-*")) == []


async def test_the_line_that_up_prints_works_when_it_is_pasted(
    runtimes: Path, tmp_path: Path
) -> None:
    async with program(runtimes, "up", *TINY) as process:
        output = await output_until(process, "Ctrl-C")
        curl = next(line for line in output.splitlines() if "file=@" in line)
        pasted = await asyncio.create_subprocess_shell(
            f"{curl.strip()} --silent --show-error --fail", cwd=tmp_path, stdout=PIPE
        )
        answer, _ = await asyncio.wait_for(pasted.communicate(), END_LIMIT_S)
        assert pasted.returncode == 0
        assert json.loads(answer)["status"] == "accepted"
        process.send_signal(signal.SIGINT)
        await whole_output(process)
    assert processes_below(runtimes / "up") == []


async def test_what_the_full_stack_prints_works_when_it_is_pasted(runtimes: Path) -> None:
    """A song sent by kcat is separated, and kcat tells so."""
    async with program(runtimes, "up", "--stack", "full", *TINY) as process:
        output = await output_until(process, "Ctrl-C")
        lines = [line.strip() for line in output.splitlines()]
        (reading,) = (line for line in lines if line.startswith("kcat -C"))
        (sending,) = (line for line in lines if "| kcat -P" in line)
        await shell(sending)

        async def separated() -> bool:
            return "job.succeeded" in await shell(f"{reading} -e")

        await until(separated, timeout_s=END_LIMIT_S)
        events = [json.loads(line) for line in (await shell(f"{reading} -e")).splitlines()]
        process.send_signal(signal.SIGINT)
        await whole_output(process)
    assert {event["event"] for event in events} == {
        f"job.{status}" for status in ("accepted", "queued", "running", "succeeded")
    }
    assert processes_below(runtimes / "full") == []


@pytest.mark.parametrize(
    ("server", "advice"), [("KAFKA__JAVA", "apt-get install"), ("MINIO__PROGRAM", "make servers")]
)
async def test_the_full_stack_says_how_to_get_what_is_missing(
    runtimes: Path, monkeypatch: pytest.MonkeyPatch, server: str, advice: str
) -> None:
    monkeypatch.setenv(f"STEMYARD_STACK_{server}", "/nowhere")
    async with program(runtimes, "up", "--stack", "full", *TINY) as process:
        output = await whole_output(process)
    assert process.returncode == 1
    assert advice in output
    assert "Traceback" not in output
    assert processes_below(runtimes / "full") == []
