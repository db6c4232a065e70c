import io
import struct

import numpy as np
import pytest
import soundfile

from orchestrator.audio.wav import quantised, sample_bytes, wav_header, wav_padding


def file_of(samples: np.ndarray, *, bit_depth: int, rate: int = 44_100) -> bytes:
    frames, channels = samples.shape
    shape = {"frames": frames, "channels": channels, "bit_depth": bit_depth}
    body = sample_bytes(samples, bit_depth=bit_depth)
    return wav_header(**shape, sample_rate_hz=rate) + body + wav_padding(**shape)


@pytest.mark.parametrize(("bit_depth", "subtype"), [(16, "PCM_16"), (24, "PCM_24"), (32, "FLOAT")])
def test_libsndfile_reads_what_we_wrote(bit_depth: int, subtype: str) -> None:
    samples = np.random.default_rng(3).uniform(-1, 1, (1_001, 2)).astype(np.float32)
    data = file_of(samples, bit_depth=bit_depth, rate=48_000)
    with soundfile.SoundFile(io.BytesIO(data)) as file:
        assert (file.samplerate, file.subtype, file.format) == (48_000, subtype, "WAV")
        back = file.read(dtype="float32")
    step = 2.0 ** (1 - bit_depth) if bit_depth < 32 else 0.0
    assert np.abs(back - samples).max() <= step


def test_integers_of_the_source_come_back_as_they_were() -> None:
    integers = np.array([[-(1 << 23), (1 << 23) - 1], [1, -1]], dtype=np.int32)
    samples = (integers / float(1 << 23)).astype(np.float32)
    assert quantised(samples, bit_depth=24).tolist() == integers.tolist()


def test_beyond_full_scale_is_cut() -> None:
    samples = np.array([[2.0, -2.0]], dtype=np.float32)
    assert quantised(samples, bit_depth=16).tolist() == [[32_767, -32_768]]


@pytest.mark.parametrize("bit_depth", [16, 24])
def test_integers_are_those_of_double_precision(bit_depth: int) -> None:
    generator = np.random.default_rng(8)
    levels = np.float32(10.0) ** np.arange(-12, 4)
    samples = generator.standard_normal((10_000, levels.size), dtype=np.float32) * levels
    halves = (np.arange(-50, 50) + 0.5).astype(np.float32) / np.float32(1 << (bit_depth - 1))
    for block in (samples.astype(np.float32), halves.reshape(-1, 2)):
        exact = np.rint(block.astype(np.float64) * (1 << (bit_depth - 1)))
        top = 1 << (bit_depth - 1)
        assert np.array_equal(
            quantised(block, bit_depth=bit_depth), np.clip(exact, -top, top - 1).astype(np.int32)
        )


def test_bytes_are_the_lowest_of_each_integer() -> None:
    samples = np.random.default_rng(9).uniform(-1, 1, (1_001, 2)).astype(np.float32)
    integers = quantised(samples, bit_depth=24).reshape(-1).tolist()
    expected = b"".join(value.to_bytes(3, "little", signed=True) for value in integers)
    assert sample_bytes(samples, bit_depth=24) == expected


def test_odd_bodies_are_padded() -> None:
    data = file_of(np.zeros((1, 1), dtype=np.float32), bit_depth=24)
    assert len(data) % 2 == 0
    assert struct.unpack_from("<I", data, 4)[0] == len(data) - 8


def test_beyond_four_gigabytes_the_sizes_move_to_the_ds64_chunk() -> None:
    frames = 3 * 3600 * 192_000
    header = wav_header(frames=frames, channels=2, sample_rate_hz=192_000, bit_depth=24)
    assert header[:4] == b"RF64"
    assert header[8:16] == b"WAVEds64"
    riff, data, samples = struct.unpack_from("<QQQ", header, 20)
    assert data == frames * 6
    assert samples == frames
    assert riff == len(header) - 8 + data
    assert header[-8:] == b"data\xff\xff\xff\xff"
