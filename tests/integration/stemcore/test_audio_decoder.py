"""The decoder process, given sources of all kinds."""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile
from numpy.typing import NDArray

from stemcore.audio_decoder import DecodedSource, DecodeLimits, PcmStream, decode, probe
from stemcore.audio_decoder.process import DecoderProcess
from stemcore.errors import ErrorCode, InvalidInput
from tests.integration.stemcore.encoded import encode, silent_film, tones

REFUSED_WITHIN_S = 5.0


def collect(stream: PcmStream) -> tuple[NDArray[np.float32], DecodedSource]:
    samples = np.concatenate(list(stream.blocks()))
    return samples, stream.ended


def noise(path: Path) -> Path:
    path.write_bytes(np.random.default_rng(7).bytes(200_000))
    return path


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def wav(path: Path, samples: NDArray[np.float32], *, rate_hz: int = 44_100) -> Path:
    soundfile.write(path, samples, rate_hz, subtype="FLOAT")
    return path


def cut_off(path: Path) -> Path:
    encode(path, tones(44_100), codec="flac", container="flac")
    path.write_bytes(path.read_bytes()[:60])
    return path


BAD_SOURCES: dict[ErrorCode, Callable[[Path], Path]] = {
    ErrorCode.EMPTY_FILE: lambda folder: written(folder / "song.mp3", b""),
    ErrorCode.UNSUPPORTED_FORMAT: lambda folder: written(folder / "song.mp3", b"La la la\n" * 500),
    ErrorCode.PLAYLIST_NOT_ALLOWED: lambda folder: written(
        folder / "song.mp3", b"ffconcat version 1.0\nfile other.wav\n"
    ),
    ErrorCode.UNREADABLE_AUDIO: lambda folder: noise(folder / "song.flac"),
    ErrorCode.NO_SAMPLES: lambda folder: wav(folder / "song.wav", tones(0)),
    ErrorCode.NO_AUDIO_STREAM: lambda folder: silent_film(folder / "song.mp4"),
}


@pytest.mark.parametrize("code", BAD_SOURCES)
async def test_bad_sources_have_a_code_each_and_no_process_left(
    tmp_path: Path, code: ErrorCode
) -> None:
    path = BAD_SOURCES[code](tmp_path)
    started = time.monotonic()
    with pytest.raises(InvalidInput) as probed:
        await probe(path)
    with pytest.raises(InvalidInput) as decoded:
        await decode(path, collect)
    assert (probed.value.code, decoded.value.code) == (code, code)
    assert time.monotonic() - started < REFUSED_WITHIN_S
    assert not psutil.Process().children()


async def test_a_header_without_audio_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as refusal:
        await probe(cut_off(tmp_path / "song.flac"))
    assert refusal.value.code in (ErrorCode.UNREADABLE_AUDIO, ErrorCode.NO_SAMPLES)


@pytest.mark.parametrize("hidden", ["ffconcat version 1.0\nfile {}\n", "#EXTM3U\n{}\n"])
async def test_a_playlist_the_sniffer_missed_opens_no_neighbour(
    tmp_path: Path, hidden: str
) -> None:
    secret = wav(tmp_path / "secret.wav", tones(1_000))
    path = tmp_path / "song.mp3"
    path.write_text(hidden.format(secret))
    with DecoderProcess(DecodeLimits()) as process:
        process.request("probe", source=path, pcm=None, cpu_s=5)
        with pytest.raises(InvalidInput) as refusal:
            process.answer()
    assert refusal.value.code in (ErrorCode.UNSUPPORTED_FORMAT, ErrorCode.UNREADABLE_AUDIO)


@pytest.mark.parametrize("rate_hz", [44_100, 48_000])
@pytest.mark.parametrize("frames", [1_000, 1_151, 1_152, 44_100, 100_003])
async def test_mp3_has_the_frames_that_went_in(tmp_path: Path, frames: int, rate_hz: int) -> None:
    path = encode(
        tmp_path / "song.mp3", tones(frames, rate_hz=rate_hz), codec="libmp3lame", rate_hz=rate_hz
    )
    samples, ended = await decode(path, collect)
    assert samples.shape == (frames, 2)
    assert ended.facts.duration_s == pytest.approx(frames / rate_hz)
    assert (ended.facts.codec, ended.facts.container) == ("mp3", "mp3")


async def test_mp3_is_in_its_place_after_trimming(tmp_path: Path) -> None:
    source = tones(44_100)
    samples, _ = await decode(encode(tmp_path / "s.mp3", source, codec="libmp3lame"), collect)
    middle = slice(10_000, 30_000)
    assert np.abs(samples[middle] - source[middle]).max() < 0.02


@pytest.mark.parametrize(
    ("name", "codec"),
    [("s.flac", "flac"), ("s.m4a", "alac"), ("s.wav", "pcm_s24le"), ("s.aiff", "pcm_s16be")],
)
async def test_lossless_sources_keep_every_frame(tmp_path: Path, name: str, codec: str) -> None:
    source = tones(50_001)
    samples, ended = await decode(encode(tmp_path / name, source, codec=codec), collect)
    assert samples.shape == source.shape
    assert np.abs(samples - source).max() < 2.0**-14
    assert ended.damaged_packets == 0


async def test_ogg_vorbis_keeps_every_frame(tmp_path: Path) -> None:
    path = tmp_path / "song.ogg"
    soundfile.write(path, tones(100_003), 44_100)
    samples, ended = await decode(path, collect)
    assert len(samples) == 100_003
    assert ended.facts.codec == "vorbis"


async def test_float_wav_passes_bit_for_bit(tmp_path: Path) -> None:
    source = np.random.default_rng(1).standard_normal((70_001, 2)).astype(np.float32) * 3
    samples, _ = await decode(wav(tmp_path / "song.wav", source), collect)
    assert samples.tobytes() == source.tobytes()


async def test_surround_tells_its_channels(tmp_path: Path) -> None:
    path = encode(tmp_path / "song.flac", tones(5_000, channels=6), codec="flac")
    facts = await probe(path)
    assert facts.channels == 6
    assert facts.channel_names == ("FL", "FR", "FC", "LFE", "BL", "BR")


async def test_an_extension_does_not_choose_the_format(tmp_path: Path) -> None:
    path = wav(tmp_path / "song.wav", tones(44_100)).rename(tmp_path / "song.flac")
    facts = await probe(path)
    assert (facts.container, facts.duration_s) == ("wav", pytest.approx(1.0))


async def test_decoding_stops_at_the_limit_whatever_the_header_says(tmp_path: Path) -> None:
    path = wav(tmp_path / "song.wav", tones(5 * 44_100))
    limits = DecodeLimits(max_duration_s=1.0)
    for attempt in (probe(path, limits=limits), decode(path, collect, limits=limits)):
        with pytest.raises(InvalidInput) as refusal:
            await attempt
        assert refusal.value.code is ErrorCode.AUDIO_TOO_LONG


async def test_the_clock_ends_a_decoding(tmp_path: Path) -> None:
    path = wav(tmp_path / "song.wav", tones(44_100 * 60))

    def dawdle(stream: PcmStream) -> None:
        next(stream.blocks())
        while psutil.Process().children():
            time.sleep(0.01)

    with pytest.raises(InvalidInput) as refusal:
        await decode(path, dawdle, limits=DecodeLimits(decode_timeout_s=0.5))
    assert refusal.value.code is ErrorCode.DECODE_TIMEOUT


async def test_cancelling_ends_the_process(tmp_path: Path) -> None:
    path = wav(tmp_path / "song.wav", tones(44_100 * 60))
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()

    def dawdle(stream: PcmStream) -> None:
        next(stream.blocks())
        loop.call_soon_threadsafe(begun.set)
        while psutil.Process().children():
            time.sleep(0.01)

    task = asyncio.create_task(decode(path, dawdle))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not psutil.Process().children()


async def test_a_child_that_dies_is_a_refusal(tmp_path: Path) -> None:
    path = wav(tmp_path / "song.wav", tones(1_000))
    with DecoderProcess(DecodeLimits()) as process:
        process.kill()
        process.request("probe", source=path, pcm=None, cpu_s=5)
        with pytest.raises(InvalidInput) as refusal:
            process.answer()
    assert refusal.value.code is ErrorCode.UNREADABLE_AUDIO


def test_the_child_is_confined(tmp_path: Path) -> None:
    path = wav(tmp_path / "song.wav", tones(44_100 * 60))
    ours, theirs = os.pipe()
    with DecoderProcess(DecodeLimits(address_space_bytes=3 << 30)) as process:
        process.request("decode", source=path, pcm=theirs, cpu_s=5)
        process.answer()
        child = psutil.Process(process.pid)
        limits = Path(f"/proc/{process.pid}/limits").read_text()
        assert not list(Path(child.cwd()).iterdir())
        assert child.environ() == {}
    os.close(ours)
    os.close(theirs)
    assert f"Max address space         {3 << 30}" in limits
    assert "Max file size             0" in limits
    assert "Max open files            16" in limits
