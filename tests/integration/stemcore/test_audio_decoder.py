"""The decoder process, given sources of all kinds."""

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile
from numpy.typing import NDArray

from stemcore.audio_decoder import (
    AudioDecoder,
    DecodedSource,
    DecodeLimits,
    PcmStream,
    SandboxSettings,
    open_decoder,
)
from stemcore.audio_decoder.pcm import pcm_stream
from stemcore.audio_decoder.process import DecoderBroken, DecoderProcess
from stemcore.errors import ErrorCode, InvalidInput
from tests.integration.stemcore.decoders import Decoders
from tests.integration.stemcore.encoded import encode, silent_film, tones

REFUSED_WITHIN_S = 5.0
START_TIMEOUT_S = 30.0


def decoder_with(limits: DecodeLimits) -> AbstractAsyncContextManager[AudioDecoder]:
    """A decoder whose processes, but for the first, are started on demand."""
    return open_decoder(SandboxSettings(warm=0), limits=limits)


@pytest.fixture
async def decoder() -> AsyncGenerator[AudioDecoder]:
    async with decoder_with(DecodeLimits()) as decoder:
        yield decoder


def started(limits: DecodeLimits | None = None) -> DecoderProcess:
    process = DecoderProcess(limits or DecodeLimits())
    process.await_ready(timeout_s=START_TIMEOUT_S)
    return process


def collect(stream: PcmStream) -> tuple[NDArray[np.float32], DecodedSource]:
    samples = np.concatenate(list(stream.blocks()))
    return samples, stream.ended


def open_descriptors() -> int:
    return psutil.Process().num_fds()


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
    ErrorCode.UNSUPPORTED_FORMAT: lambda folder: noise(folder / "song.flac"),
    ErrorCode.PLAYLIST_NOT_ALLOWED: lambda folder: written(
        folder / "song.mp3", b"ffconcat version 1.0\nfile other.wav\n"
    ),
    ErrorCode.NO_SAMPLES: lambda folder: wav(folder / "song.wav", tones(0)),
    ErrorCode.NO_AUDIO_STREAM: lambda folder: silent_film(folder / "song.mp4"),
}


@pytest.mark.parametrize("code", BAD_SOURCES)
async def test_bad_sources_have_a_code_each_and_no_process_left(
    tmp_path: Path, code: ErrorCode, decoders: Decoders
) -> None:
    path = BAD_SOURCES[code](tmp_path)
    async with decoder_with(DecodeLimits()) as decoder:
        began = time.monotonic()
        with pytest.raises(InvalidInput) as probed:
            await decoder.probe(path)
        with pytest.raises(InvalidInput) as decoded:
            await decoder.decode(path, collect)
        assert time.monotonic() - began < REFUSED_WITHIN_S
    assert (probed.value.code, decoded.value.code) == (code, code)
    assert not decoders()


async def test_half_a_header_is_malformed(decoder: AudioDecoder, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as refusal:
        await decoder.probe(cut_off(tmp_path / "song.flac"))
    assert refusal.value.code is ErrorCode.MALFORMED_CONTAINER


@pytest.mark.parametrize("hidden", ["ffconcat version 1.0\nfile {}\n", "#EXTM3U\n{}\n"])
def test_a_playlist_the_sniffer_missed_opens_no_neighbour(tmp_path: Path, hidden: str) -> None:
    secret = wav(tmp_path / "secret.wav", tones(1_000))
    path = tmp_path / "song.mp3"
    path.write_text(hidden.format(secret))
    with started() as process:
        process.request("probe", source=path, pcm=None)
        with pytest.raises(InvalidInput) as refusal:
            process.opened()
    assert refusal.value.code is ErrorCode.UNSUPPORTED_FORMAT


@pytest.mark.parametrize("rate_hz", [44_100, 48_000])
@pytest.mark.parametrize("frames", [1_000, 1_151, 1_152, 44_100, 100_003])
async def test_mp3_has_the_frames_that_went_in(
    decoder: AudioDecoder, tmp_path: Path, frames: int, rate_hz: int
) -> None:
    path = encode(
        tmp_path / "song.mp3", tones(frames, rate_hz=rate_hz), codec="libmp3lame", rate_hz=rate_hz
    )
    samples, ended = await decoder.decode(path, collect)
    assert samples.shape == (frames, 2)
    assert ended.facts.duration_s == pytest.approx(frames / rate_hz)
    assert (ended.facts.codec, ended.facts.container) == ("mp3", "mp3")


async def test_mp3_is_in_its_place_after_trimming(decoder: AudioDecoder, tmp_path: Path) -> None:
    source = tones(44_100)
    samples, _ = await decoder.decode(
        encode(tmp_path / "s.mp3", source, codec="libmp3lame"), collect
    )
    middle = slice(10_000, 30_000)
    assert np.abs(samples[middle] - source[middle]).max() < 0.02


@pytest.mark.parametrize(
    ("name", "codec"),
    [("s.flac", "flac"), ("s.m4a", "alac"), ("s.wav", "pcm_s24le"), ("s.aiff", "pcm_s16be")],
)
async def test_lossless_sources_keep_every_frame(
    decoder: AudioDecoder, tmp_path: Path, name: str, codec: str
) -> None:
    source = tones(50_001)
    samples, ended = await decoder.decode(encode(tmp_path / name, source, codec=codec), collect)
    assert samples.shape == source.shape
    assert np.abs(samples - source).max() < 2.0**-14
    assert ended.damaged_packets == 0


async def test_ogg_vorbis_keeps_every_frame(decoder: AudioDecoder, tmp_path: Path) -> None:
    path = tmp_path / "song.ogg"
    soundfile.write(path, tones(100_003), 44_100)
    samples, ended = await decoder.decode(path, collect)
    assert len(samples) == 100_003
    assert ended.facts.codec == "vorbis"


async def test_float_wav_passes_bit_for_bit(decoder: AudioDecoder, tmp_path: Path) -> None:
    source = np.random.default_rng(1).standard_normal((70_001, 2)).astype(np.float32) * 3
    samples, _ = await decoder.decode(wav(tmp_path / "song.wav", source), collect)
    assert samples.tobytes() == source.tobytes()


async def test_surround_tells_its_channels(decoder: AudioDecoder, tmp_path: Path) -> None:
    path = encode(tmp_path / "song.flac", tones(5_000, channels=6), codec="flac")
    facts = await decoder.probe(path)
    assert facts.channels == 6
    assert facts.channel_names == ("FL", "FR", "FC", "LFE", "BL", "BR")


async def test_an_extension_does_not_choose_the_format(
    decoder: AudioDecoder, tmp_path: Path
) -> None:
    path = wav(tmp_path / "song.wav", tones(44_100)).rename(tmp_path / "song.flac")
    facts = await decoder.probe(path)
    assert (facts.container, facts.duration_s) == ("wav", pytest.approx(1.0))


async def test_decoding_stops_at_the_limit_whatever_the_header_says(tmp_path: Path) -> None:
    path = wav(tmp_path / "song.wav", tones(5 * 44_100))
    async with decoder_with(DecodeLimits(max_duration_s=1.0)) as decoder:
        for attempt in (decoder.probe(path), decoder.decode(path, collect)):
            with pytest.raises(InvalidInput) as refusal:
                await attempt
            assert refusal.value.code is ErrorCode.AUDIO_TOO_LONG


async def test_samples_of_all_channels_are_counted(tmp_path: Path) -> None:
    path = wav(tmp_path / "song.wav", tones(44_100, channels=6))
    async with decoder_with(DecodeLimits(max_samples=6 * 44_100 - 1)) as decoder:
        with pytest.raises(InvalidInput) as refusal:
            await decoder.decode(path, collect)
    assert refusal.value.code is ErrorCode.AUDIO_TOO_LONG


async def test_a_length_that_is_only_claimed_is_not_held_against_a_source(
    decoder: AudioDecoder, tmp_path: Path
) -> None:
    path = wav(tmp_path / "song.wav", tones(44_100))
    data = bytearray(path.read_bytes())
    data[4:8] = data[data.index(b"data") + 4 : data.index(b"data") + 8] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    facts = await decoder.probe(path)
    assert facts.duration_s == pytest.approx(1.0, abs=0.01)


async def test_the_clock_ends_a_decoding(tmp_path: Path, decoders: Decoders) -> None:
    path = wav(tmp_path / "song.wav", tones(44_100 * 60))

    def dawdle(stream: PcmStream) -> None:
        blocks = stream.blocks()
        next(blocks)
        give_up_at = time.monotonic() + START_TIMEOUT_S
        while decoders() and time.monotonic() < give_up_at:
            time.sleep(0.01)

    async with decoder_with(DecodeLimits(decode_timeout_s=0.5)) as decoder:
        with pytest.raises(InvalidInput) as refusal:
            await decoder.decode(path, dawdle)
    assert refusal.value.code is ErrorCode.DECODE_TIMEOUT


async def test_cancelling_ends_the_process(
    decoder: AudioDecoder, tmp_path: Path, decoders: Decoders
) -> None:
    path = wav(tmp_path / "song.wav", tones(44_100 * 60))
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()

    def dawdle(stream: PcmStream) -> None:
        blocks = stream.blocks()
        next(blocks)
        loop.call_soon_threadsafe(begun.set)
        give_up_at = time.monotonic() + START_TIMEOUT_S
        while decoders() and time.monotonic() < give_up_at:
            time.sleep(0.01)

    task = asyncio.create_task(decoder.decode(path, dawdle))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not decoders()


def test_a_child_that_dies_over_a_source_is_a_refusal(tmp_path: Path) -> None:
    path = wav(tmp_path / "song.wav", tones(44_100 * 60))
    ours, theirs = os.pipe()
    with started() as process:
        process.request("decode", source=path, pcm=theirs)
        process.opened()
        process.kill()
        with pytest.raises(InvalidInput) as refusal:
            process.opened()
    os.close(ours)
    os.close(theirs)
    assert refusal.value.code is ErrorCode.UNREADABLE_AUDIO


def test_a_refused_source_leaves_no_descriptor_open(tmp_path: Path) -> None:
    path = noise(tmp_path / "song.flac")
    with started() as process:
        held = open_descriptors()
        with pytest.raises(InvalidInput), pcm_stream(process, path):
            pytest.fail("it was opened")
        assert open_descriptors() == held


def test_a_child_that_died_before_its_source_came_blames_nobody(tmp_path: Path) -> None:
    path = wav(tmp_path / "song.wav", tones(1_000))
    with started() as process:
        process.kill()
        with pytest.raises(DecoderBroken):
            process.request("probe", source=path, pcm=None)


def test_the_child_has_nothing_but_its_descriptors(tmp_path: Path) -> None:
    path = wav(tmp_path / "song.wav", tones(44_100 * 60))
    ours, theirs = os.pipe()
    with started(DecodeLimits(address_space_bytes=3 << 30)) as process:
        process.request("decode", source=path, pcm=theirs)
        process.opened()
        child = Path(f"/proc/{process.pid}")
        limits, status = (child / "limits").read_text(), (child / "status").read_text()
        held = {str(link.readlink()) for link in (child / "fd").iterdir()}
        folder = (child / "cwd").readlink()
        assert psutil.Process(process.pid).environ() == {}
    os.close(ours)
    os.close(theirs)
    assert folder.name.endswith(" (deleted)")
    files = {name for name in held if not name.startswith(("socket:", "pipe:"))}
    assert files == {"/dev/null", str(path)}
    assert f"Max address space         {3 << 30}" in limits
    assert "Max file size             0" in limits
    assert "Max open files            16" in limits
    assert "Seccomp:\t2" in status
    assert "NoNewPrivs:\t1" in status
    assert "CapEff:\t0000000000000000" in status
    assert "Threads:\t1\n" in status
