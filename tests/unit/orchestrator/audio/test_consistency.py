import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from orchestrator.audio.consistency import FRAME_SAMPLES, MixtureConsistency
from orchestrator.null_test import NullTest

Samples = NDArray[np.float32]

NULL_DB = 120.0


def track(samples: int, *, stems: int, seed: int) -> tuple[Samples, Samples]:
    """Stems of changing loudness, and a mix they miss by something."""
    random = np.random.default_rng(seed)
    loudness = np.exp(random.standard_normal((stems, 1, 1)) * 2)
    made = (random.standard_normal((stems, 2, samples)) * loudness).astype(np.float32)
    missed = random.standard_normal((2, samples), dtype=np.float32) * np.float32(0.1)
    return made, made.sum(axis=0) + missed


def whole_track(stems: Samples, mix: Samples) -> Samples:
    """x + w (y - sum x): w each stem's part of a frame's energy, linear between the centres."""
    count, _, samples = stems.shape
    frames = -(-samples // FRAME_SAMPLES)
    padded = np.zeros((count, 2, frames * FRAME_SAMPLES))
    padded[..., :samples] = stems
    energy = np.square(padded).reshape(count, 2, frames, FRAME_SAMPLES).sum(axis=(1, 3))
    weights = np.where(
        energy.sum(axis=0) > 0, energy / np.maximum(energy.sum(axis=0), 1e-300), 1 / count
    )
    centres = FRAME_SAMPLES * (np.arange(frames) + 0.5)
    parts = np.stack([np.interp(np.arange(samples), centres, row) for row in weights])
    return stems + parts[:, None] * (mix.astype(np.float64) - stems.sum(axis=0, dtype=np.float64))


def streamed(stems: Samples, mix: Samples, cuts: list[int]) -> tuple[Samples, Samples]:
    consistency = MixtureConsistency(stems=len(stems), channels=2)
    edges = [0, *sorted(cuts), mix.shape[-1]]
    given = [
        consistency.push(stems[..., first:last], mix[:, first:last])
        for first, last in itertools.pairwise(edges)
    ]
    given.append(consistency.finish())
    made, mixes = zip(*given, strict=True)
    return np.concatenate(made, axis=-1), np.concatenate(mixes, axis=-1)


@given(data=st.data(), samples=st.integers(1, 9_000), stems=st.integers(2, 6))
def test_the_stream_is_the_projection_of_the_whole_track(
    data: st.DataObject, samples: int, stems: int
) -> None:
    made, mix = track(samples, stems=stems, seed=samples)
    cuts = data.draw(st.lists(st.integers(0, samples), max_size=6))
    out, out_mix = streamed(made, mix, cuts)
    assert out_mix.tobytes() == mix.tobytes()
    np.testing.assert_allclose(out, whole_track(made, mix), rtol=1e-4, atol=1e-4)
    once, _ = streamed(made, mix, [])
    assert out.tobytes() == once.tobytes()
    null = NullTest()
    null.add(mix, out)
    assert null.depth_db is not None
    assert null.depth_db > NULL_DB


def test_a_silent_stem_stays_silent() -> None:
    made, mix = track(5 * FRAME_SAMPLES, stems=3, seed=1)
    made[1] = 0
    out, _ = streamed(made, mix, [700])
    assert not out[1].any()


def test_where_all_stems_are_silent_each_takes_an_equal_part() -> None:
    mix = np.full((2, 3_000), 0.9, dtype=np.float32)
    out, _ = streamed(np.zeros((3, 2, 3_000), dtype=np.float32), mix, [1_500])
    np.testing.assert_allclose(out, 0.3, rtol=1e-6)


def test_less_than_two_frames_are_held_back() -> None:
    made, mix = track(20_000, stems=2, seed=2)
    consistency = MixtureConsistency(stems=2, channels=2)
    given_back = 0
    for end in range(100, 20_001, 100):
        _, out = consistency.push(made[..., end - 100 : end], mix[:, end - 100 : end])
        given_back += out.shape[-1]
        assert end - given_back < 2 * FRAME_SAMPLES
