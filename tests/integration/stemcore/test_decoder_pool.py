"""Decoder processes that wait: one source each, replaced, and gone with their parent."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import soundfile

from stemcore.audio_decoder import (
    AudioDecoder,
    DecodeLimits,
    SandboxSettings,
    SandboxTooWeak,
    open_decoder,
)
from stemcore.audio_decoder.pool import DecoderPool
from stemcore.audio_decoder.process import DecoderProcess
from stemcore.errors import ErrorCode, Unavailable
from stemyard.stack.waiting import until
from tests.integration.stemcore.decoders import Decoders
from tests.integration.stemcore.encoded import tones

HERE = Path(__file__).parent
ROOT = Path(__file__).parents[3]
TIMEOUT_S = 60.0
PARENT = """
import asyncio, sys
from stemcore.audio_decoder import DecodeLimits, SandboxSettings, open_decoder

async def main():
    async with open_decoder(SandboxSettings(warm=3), limits=DecodeLimits()):
        sys.stdout.write("open\\n")
        sys.stdout.flush()
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
def song(tmp_path: Path) -> Path:
    path = tmp_path / "song.wav"
    soundfile.write(path, tones(4_000), 44_100)
    return path


async def test_each_source_has_a_process_of_its_own(decoders: Decoders) -> None:
    pool = DecoderPool(SandboxSettings(warm=1), limits=DecodeLimits())
    await pool.open()
    pids: list[int] = []
    for _ in range(3):
        async with pool.process() as process:
            pids.append(process.pid)
        assert not psutil.pid_exists(pids[-1])
    await pool.close()
    assert len(set(pids)) == 3
    assert not decoders()


async def test_a_signal_to_our_process_group_does_not_reach_them(decoders: Decoders) -> None:
    async with open_decoder(SandboxSettings(warm=1), limits=DecodeLimits()):
        assert all(os.getpgid(child.pid) == child.pid for child in decoders())


async def test_as_many_as_wished_wait(song: Path, decoders: Decoders) -> None:
    async with open_decoder(SandboxSettings(warm=3), limits=DecodeLimits()) as decoder:
        await until(lambda: _are(3, decoders), timeout_s=TIMEOUT_S)
        await decoder.probe(song)
        await until(lambda: _are(3, decoders), timeout_s=TIMEOUT_S)
    assert not decoders()


async def _are(count: int, decoders: Decoders) -> bool:
    return len(decoders()) == count


async def test_one_that_died_waiting_is_replaced_and_no_source_blamed(
    song: Path, decoders: Decoders
) -> None:
    descriptors = psutil.Process().num_fds()
    async with open_decoder(SandboxSettings(warm=2), limits=DecodeLimits()) as decoder:
        await until(lambda: _are(2, decoders), timeout_s=TIMEOUT_S)
        waiting = decoders()
        for child in waiting:
            child.kill()
        await until(lambda: _have_ended(waiting), timeout_s=TIMEOUT_S)
        facts = await decoder.probe(song)
    assert facts.sample_rate_hz == 44_100
    assert psutil.Process().num_fds() == descriptors


def test_what_cannot_be_started_leaves_no_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    descriptors = psutil.Process().num_fds()
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(FileNotFoundError) as failure:
        DecoderProcess(DecodeLimits())
    assert failure.traceback
    assert psutil.Process().num_fds() == descriptors


async def test_a_decoder_that_cannot_be_started_is_our_fault(
    song: Path, decoders: Decoders
) -> None:
    limits = DecodeLimits()
    pool = DecoderPool(SandboxSettings(warm=0, start_timeout_s=0.001), limits=limits)
    decoder = AudioDecoder(pool, limits=limits, protections=frozenset())
    with pytest.raises(Unavailable) as failure:
        await decoder.probe(song)
    await pool.close()
    assert failure.value.code is ErrorCode.DECODER_UNAVAILABLE
    assert not decoders()


async def test_they_die_with_their_parent() -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == "open\n"
    orphans = psutil.Process(parent.pid).children()
    assert orphans
    parent.kill()
    parent.communicate()
    await until(lambda: _have_ended(orphans), timeout_s=TIMEOUT_S)


async def _have_ended(processes: list[psutil.Process]) -> bool:
    return not any(map(_runs, processes))


def _runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_what_a_weak_machine_lacks_is_found_and_told() -> None:
    doctor = subprocess.run(
        [sys.executable, str(HERE / "weak_machine.py"), "-m", "stemcore.audio_decoder.doctor"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert doctor.returncode == 1
    states = {line.split(":")[0].split()[1]: line.split()[0] for line in doctor.stdout.splitlines()}
    assert states["memory"] == "ok"
    assert states["files"] == states["sockets"] == "MISSING"


def test_what_is_missing_is_named() -> None:
    message = str(SandboxTooWeak(SandboxSettings().require))
    assert all(protection in message for protection in SandboxSettings().require)
