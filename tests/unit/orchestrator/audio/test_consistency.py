import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from orchestrator.audio.consistency import consistent
from orchestrator.null_test import NullTest

Samples = NDArray[np.float32]

NULL_DB = 120.0


def track(samples: int, *, stems: int, seed: int) -> tuple[Samples, Samples, Samples]:
    """True stems, what a model made of them, and their mix."""
    random = np.random.default_rng(seed)
    truth = random.standard_normal((stems, 2, samples), dtype=np.float32)
    error = random.standard_normal((stems, 2, samples), dtype=np.float32)
    return truth, truth + error * np.float32(0.3), truth.sum(axis=0)


def energy(signal: Samples) -> float:
    return float(np.square(signal, dtype=np.float64).sum())


@settings(deadline=None)
@example(samples=1, stems=3, seed=327)
@given(samples=st.integers(1, 500), stems=st.integers(2, 6), seed=st.integers(0, 10_000))
def test_it_is_the_projection_onto_what_adds_up(samples: int, stems: int, seed: int) -> None:
    truth, made, mix = track(samples, stems=stems, seed=seed)
    out = consistent(made, mix)
    missed = mix.astype(np.float64) - made.sum(axis=0, dtype=np.float64)
    np.testing.assert_allclose(out, made + missed / stems, atol=1e-5)
    null = NullTest()
    null.add(mix, out)
    assert null.depth_db is not None
    # Rounding follows the stems, and a mix in which they cancel each other is quieter than they.
    cancelled_db = 10 * np.log10(energy(out) / energy(mix))
    assert null.depth_db + max(cancelled_db, 0) > NULL_DB
    assert energy(out - truth) < energy(made - truth)


@settings(deadline=None)
@given(samples=st.integers(2, 500), cut=st.integers(1, 499))
def test_it_does_not_matter_where_the_track_is_cut(samples: int, cut: int) -> None:
    _, made, mix = track(samples, stems=3, seed=samples)
    cut = min(cut, samples)
    parts = [consistent(made[..., part], mix[:, part]) for part in (slice(cut), slice(cut, None))]
    assert np.concatenate(parts, axis=-1).tobytes() == consistent(made, mix).tobytes()
